"""Random numbers of networks: dropout has a generator of its own, everything else draws from seeded ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

EVALUATION_SEED = 0
"""For `seeded`, while models are evaluated: the same draws whenever and wherever they are."""


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed the global generators of PyTorch, NumPy and Python for a block; after it they are as before.

    A user's network draws from these: functional dropout, noise, its initial weights.
    """
    numbers, arrays = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.device(device).type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(numbers)
        np.random.set_state(arrays)


class Dropout(nn.Dropout):
    """`nn.Dropout`, its masks drawn from `generator`."""

    generator: torch.Generator

    def forward(self, values: Tensor) -> Tensor:
        """Values [batch, ...], each zeroed with probability `p` in training, the rest scaled by 1 / (1 − p)."""
        if not self.training or self.p == 0:
            return values
        mask = keep(values.shape, self.p, self.generator).to(values.dtype)
        return values.mul_(mask) if self.inplace else values * mask


def keep(shape: torch.Size | tuple[int, ...], p: float, generator: torch.Generator) -> Tensor:
    """Factors of that shape: 0 with probability `p`, else 1 / (1 − p)."""
    return (torch.rand(shape, generator=generator, device=generator.device) >= p) / (1 - p or 1)


def seed_dropout(module: nn.Module, generator: torch.Generator) -> None:
    """Let every `nn.Dropout` within a module draw from the generator.

    A layer changes its class in place, since a network may know it by several names, and it may have hooks. A user's
    subclass stays as it is, and draws from PyTorch's own generator.
    """
    for layer in module.modules():
        if type(layer) is nn.Dropout:
            layer.__class__ = Dropout
            layer.generator = generator  # type: ignore[assignment]
