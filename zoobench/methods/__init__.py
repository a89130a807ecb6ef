"""What is compared: SANE, its peers, baselines."""
