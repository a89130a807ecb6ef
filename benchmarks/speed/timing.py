"""What the scripts beside this time with, and measure the machine by."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def matrix_rate(device: str = "cpu", side: int = 2048, repeats: int = 9) -> float:
    """Operations a second of a large matrix product in float32, the median."""
    matrix = torch.randn(side, side, device=device)
    return 2 * side**3 / statistics.median(seconds(lambda: matrix @ matrix, device) for _ in range(repeats))


def seconds(work: Callable[[], object], device: str = "cpu") -> float:
    """How long work takes, all of it done."""
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
