"""Dropout that draws from a generator of its own, so that a model's masks do not depend on who else is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
    """What to multiply values of that shape by: 0 with probability `p`, else 1 / (1 − p)."""
    return (torch.rand(shape, generator=generator, device=generator.device) >= p) / (1 - p or 1)


def seed_dropout(module: nn.Module, generator: torch.Generator) -> None:
    """Let every `nn.Dropout` within a module draw from the generator.

    A layer becomes one of this class where it is, since a network may know it by several names, and hooks hang on it. A
    user's subclass stays what it is, and draws from PyTorch's own generator.
    """
    for layer in module.modules():
        if type(layer) is nn.Dropout:
            layer.__class__ = Dropout
            layer.generator = generator  # type: ignore[assignment]
