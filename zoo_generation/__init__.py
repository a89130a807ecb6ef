"""Make populations of trained models: image datasets, architectures, zoo specs, trainers, Ray jobs."""

from zoo_generation.machine import settle_threads

__version__ = "0.1.0"

settle_threads()  # here, because PyTorch and the processes that Ray starts read it when they are imported
