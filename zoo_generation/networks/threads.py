"""Keep numba's thread count equal to PyTorch's.

Both run on the same OpenMP. If numba starts first, it sets the number of PyTorch's threads to that of all cores: two
processes that were given one core each then wait for each other, and take five times as long.
"""

from __future__ import annotations

import numba
import torch


def use_threads(count: int) -> None:
    """Use `count` threads for everything that runs on the CPU."""
    torch.set_num_threads(count)
    kernels_as_torch()


def kernels_as_torch() -> None:
    """Give numba's kernels PyTorch's number of threads; called before they run."""
    count = torch.get_num_threads()
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != count:  # numba has just started, and set them
        torch.set_num_threads(count)
