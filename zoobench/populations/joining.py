"""Tokens back to flat weights on a CPU, in one kernel, because this is many small copies and each would be a PyTorch
call."""

from __future__ import annotations

import os

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.networks.threads import kernels_as_torch

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

_forked: list[int] = []
os.register_at_fork(after_in_child=lambda: _forked.append(os.getpid()))


def can_join(tokens: Tensor, flat: Tensor) -> bool:
    """Whether the kernel can run: float32 on a CPU, contiguous, without gradients.

    Not in a forked process, such as a data loader: OpenMP would end it.
    """
    return not _forked and all(
        each.device.type == "cpu" and each.dtype == torch.float32 and each.is_contiguous() and not each.requires_grad
        for each in (tokens, flat)
    )


def join(tokens: Tensor, runs: tuple[Tensor, Tensor, Tensor], flat: Tensor) -> None:
    """Put the real elements of tokens [models, tokens, token_size] where they belong in flat weights [models, D].

    runs: start, length and bias [tokens] int64, as in `tokenizer.Runs`.
    """
    start, length, bias = (each.numpy() for each in runs)
    kernels_as_torch()
    _join(tokens.numpy(), start, length, bias, flat.numpy())


@njit(parallel=True, nogil=True, cache=True)
def _join(tokens: Floats, start: Integers, length: Integers, bias: Integers, flat: Floats) -> None:
    """Indices are unsigned, because numba would check for signed ones whether they count from the end."""
    count, size, whole = np.uint64(tokens.shape[1]), np.uint64(tokens.shape[2]), np.uint64(flat.shape[1])
    taken, into = tokens.reshape(-1), flat.reshape(-1)
    for model in prange(tokens.shape[0]):
        row, first = np.uint64(model) * whole, np.uint64(model) * count * size
        for run in range(count):
            token, begin, real = first + np.uint64(run) * size, row + np.uint64(start[run]), np.uint64(length[run])
            for i in range(real):
                into[begin + np.uint64(i)] = taken[token + np.uint64(i)]
            if bias[run] >= 0:
                into[row + np.uint64(bias[run])] = taken[token + real]
