"""Benchmark suite and dataset toolkit for weight space learning."""

__version__ = "0.1.0"
