"""Generate models without learning: random ones, the anchors, and models made from the anchors' weights."""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.methods.density import draw
from zoobench.methods.merging.average import MatchedMean
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.symmetries import matched_to_best
from zoobench.populations.target import Target

BANDWIDTH = 0.1  # as a share of each weight's deviation over the anchors


class RandomInit(Unlearned):
    """Untrained models, initialized as the anchors were."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        return Target.of(anchors).new_models(count, seed)


class Anchors(Unlearned):
    """The anchors themselves: trained models, which generation is compared with."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """At most `count` models: one per anchor."""
        return anchors.weights[:count]


class AnchorAverage(Unlearned):
    """The mean of the anchors' weights, without matching."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[1, D]: one model, whatever `count` is."""
        return anchors.weights.mean(0, keepdim=True)


class MatchedAverage(MatchedMean):
    """The mean of the anchors' weights after matching them to the best of them.

    Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836.
    """

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[1, D]: one model, whatever `count` is."""
        return matched_to_best(anchors).mean(0, keepdim=True)


class WeightDensity(Unlearned):
    """A joint kernel density in weight space over the anchors, matched to the best of them: without a latent space."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """[count, D]; copies if there is a single anchor, because it has no deviation."""
        generator = torch.Generator().manual_seed(seed)
        matched = matched_to_best(anchors)[:, None]
        return draw(matched, count, "joint", BANDWIDTH, True, generator)[:, 0]
