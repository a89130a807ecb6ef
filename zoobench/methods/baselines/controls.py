"""What the critics of weight generation compare it with: noise on the anchors, and interpolation between them.

Source: Zeng et al., arXiv 2506.07998, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.symmetry import match_closest
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of


@dataclass(frozen=True)
class Noise(Unlearned):
    """Anchors drawn at random, with Gaussian noise on their weights.

    scale: the noise's deviation, as a share of that of the weights of the same tensor of that anchor. BatchNorm's
    running statistics stay as they are.
    """

    scale: float = 0.1

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]"""
        generator = torch.Generator().manual_seed(seed)
        weights = anchors.weights[torch.randint(len(anchors), (count,), generator=generator)].clone()
        for entry in anchors.layout:
            if "running_" not in entry.name:
                part = weights[:, entry.span]
                noise = torch.randn(part.shape, generator=generator)
                weights[:, entry.span] += self.scale * part.std(1, correction=0, keepdim=True) * noise
        return weights


class Interpolation(Unlearned):
    """Points between two anchors drawn at random, one matched to the other, at a share of the way drawn uniformly."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]; copies if there is a single anchor."""
        generator = torch.Generator().manual_seed(seed)
        pairs = torch.rand(count, len(anchors), generator=generator).argsort(1)
        share = torch.rand(count, 1, generator=generator)
        start, end = anchors.weights[pairs[:, 0]], anchors.weights[pairs[:, -1]]
        return torch.lerp(start, match_closest(end, start, anchors.layout, groups_of(anchors)), share)
