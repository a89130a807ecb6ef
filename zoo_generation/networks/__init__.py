"""Networks: architectures, their symmetries, and many networks as one program that is run on images."""
