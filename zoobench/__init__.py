"""Benchmark suite and dataset toolkit for weight space learning."""

import zoo_generation as zoo_generation  # settles how threads wait, before anything here imports PyTorch

__version__ = "0.1.0"
