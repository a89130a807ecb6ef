"""What tells the older of two models, where one was trained from the other.

Sources: Horwitz et al., arXiv 2405.18432 (kurtosis of the weights); Yu & Wang, Neural Phylogeny, ICLR 2025 (distance to
a fake initialization: the parent is nearer).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoobench.populations import Population
from zoobench.populations.target import Target

Direction = Literal["kurtosis", "fresh", "norm"]
"""The sum over matrices of the kurtosis of their weights; the mean distance to freshly initialized models; the norm."""

FRESH = 8
"""Freshly initialized models."""


def trait_of(models: Population, direction: Direction) -> Tensor:
    """[models] float64"""
    weights = models.weights.double()
    if direction == "norm":
        return weights.norm(dim=1)
    if direction == "fresh":
        fresh = Target.unseen(models).new_models(FRESH, 0).double()
        return torch.cdist(weights, fresh).mean(1)
    total = torch.zeros(len(models), dtype=torch.float64)
    for entry in models.layout:
        if len(entry.shape) > 1:
            part = weights[:, entry.span]
            centred = part - part.mean(1, keepdim=True)
            total += (centred**4).mean(1) / (centred**2).mean(1) ** 2
    return total
