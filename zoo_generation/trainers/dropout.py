"""Dropout that draws from a generator of its own, so that a model's masks do not depend on who else is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """`nn.Dropout`, its masks drawn from `generator`."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        self.p = p
        self.generator = generator

    def forward(self, values: Tensor) -> Tensor:
        """Values [batch, ...], each zeroed with probability `p` in training, the rest scaled by 1 / (1 − p)."""
        if not self.training or self.p == 0:
            return values
        return values * keep(values.shape, self.p, self.generator)


def keep(shape: torch.Size | tuple[int, ...], p: float, generator: torch.Generator) -> Tensor:
    """What to multiply values of that shape by: 0 with probability `p`, else 1 / (1 − p)."""
    return (torch.rand(shape, generator=generator, device=generator.device) >= p) / (1 - p)


def seed_dropout(module: nn.Module, generator: torch.Generator) -> None:
    """Replace every `nn.Dropout` within a module by one that draws from the generator."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, Dropout(child.p, generator).train(child.training))
        else:
            seed_dropout(child, generator)
