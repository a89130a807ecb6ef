"""Positions of a token in a network, for the transformer: (index n, layer l, output channel k).

n and l are summed on one half of the width, k is on the other (Falk et al., arXiv 2504.10141, section 3).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Positions = Literal["sinusoidal", "learned"]
MaxPositions = tuple[int, int, int]

STD = 0.02  # of a new embedding's elements, in both kinds
LONGEST = 2**17  # tokens in one turn of the slowest wave


class LearnedPositions(nn.Module):
    """A learned vector for each n, each l and each k, as published.

    Every optimizer step updates the whole tables, and they have no position beyond `max_positions`.
    """

    def __init__(self, width: int, max_positions: MaxPositions) -> None:
        super().__init__()
        self.n, self.l, self.k = (nn.Embedding(size, width // 2) for size in max_positions)

    def forward(self, positions: Tensor) -> Tensor:
        """Positions [..., 3] to embeddings [..., width]."""
        n, layer, channel = positions.long().unbind(-1)
        return torch.cat([self.n(n) + self.l(layer), self.k(channel)], dim=-1)


class SinusoidalPositions(nn.Module):
    """Learned mixtures of sine and cosine waves of n, l and k, whose lengths go from 2π to `LONGEST` · 2π.

    A few thousand parameters for models of any length (Vaswani et al., arXiv 1706.03762, section 3.5, gives the waves).
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        waves = min(64, width // 4)
        frequencies = torch.exp(-math.log(LONGEST) * torch.arange(waves) / waves)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.n, self.l, self.k = (nn.Linear(2 * waves, width // 2, bias=False) for _ in range(3))

    def forward(self, positions: Tensor) -> Tensor:
        """Positions [..., 3] to embeddings [..., width]."""
        angles = positions[..., None].float() * self.frequencies
        n, layer, channel = torch.cat([angles.sin(), angles.cos()], dim=-1).unbind(-2)
        return torch.cat([self.n(n) + self.l(layer), self.k(channel)], dim=-1)


def make_positions(kind: Positions, width: int, max_positions: MaxPositions) -> nn.Module:
    """New embeddings of that kind, elements of standard deviation `STD`."""
    if kind == "learned":
        learned = LearnedPositions(width, max_positions)
        for table in (learned.n, learned.l, learned.k):
            nn.init.normal_(table.weight, std=STD)
        return learned
    sinusoidal = SinusoidalPositions(width)
    for mixture in (sinusoidal.n, sinusoidal.l, sinusoidal.k):
        nn.init.normal_(mixture.weight, std=STD / math.sqrt(mixture.in_features / 2))  # a wave's mean square is 1/2
    return sinusoidal
