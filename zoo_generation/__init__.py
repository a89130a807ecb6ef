"""Make populations of trained models: image datasets, architectures, zoo specs, trainers, Ray jobs."""

from zoo_generation.machine import settle_threads

__version__ = "0.1.0"

settle_threads()  # here, since PyTorch reads it when it is imported, and so do the processes that Ray starts
