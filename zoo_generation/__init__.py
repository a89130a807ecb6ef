"""Make populations of trained models: image datasets, architectures, zoo specs, trainers, Ray jobs."""
