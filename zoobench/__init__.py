"""Benchmark suite and dataset toolkit for weight space learning."""

from zoo_generation import __version__ as __version__  # settles how threads wait, before anything imports PyTorch
