"""How far apart the weights of models are, as they stand or after matching units and balancing scales."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.symmetry import balance_scales, match_closest
from zoobench.methods.lineage.tracer import Measure
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of

ELEMENTS = 2**25
"""Weights of models that are matched at once, 128 MiB."""


@dataclass(frozen=True)
class WeightMeasure(Measure):
    """How far apart two models' weights are. matched: after the child's units were matched to the candidate's, and
    both models' scales balanced, so that copies by an exact symmetry are where their originals are."""

    matched: bool = False

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """See `Measure`."""
        if not self.matched:
            return self.between(children, children.weights[:, None], candidates.weights)
        groups, layout = groups_of(candidates), candidates.layout
        theirs = balance_scales(candidates.weights, layout, groups)
        found = [torch.zeros(0, len(candidates))]
        at_once = max(1, ELEMENTS // (layout.size * max(1, len(candidates))))
        for some in balance_scales(children.weights, layout, groups).split(at_once):
            pairs = some.repeat_interleave(len(theirs), 0)
            moved = match_closest(pairs, theirs.repeat(len(some), 1), layout, groups)
            found.append(self.between(children, moved.unflatten(0, (len(some), -1)), theirs))
        return torch.cat(found)

    def between(self, models: Population, children: Tensor, candidates: Tensor) -> Tensor:
        """[children, candidates] of weights [children, candidates or 1, D] and [candidates, D]."""
        raise NotImplementedError


@dataclass(frozen=True)
class WeightDistance(WeightMeasure):
    """The L2 distance of all weights, as a share of the candidate's norm."""

    def between(self, models: Population, children: Tensor, candidates: Tensor) -> Tensor:
        """See `WeightMeasure`."""
        return torch.stack([(each - candidates).norm(dim=1) for each in children]) / candidates.norm(dim=1)


@dataclass(frozen=True)
class LayerCosine(WeightMeasure):
    """One minus the cosine of two models' weights, the mean over matrices. Source: the weight cosine of Zeng et al.,
    HuRef, arXiv 2312.04828."""

    def between(self, models: Population, children: Tensor, candidates: Tensor) -> Tensor:
        """See `WeightMeasure`."""
        spans = [entry.span for entry in models.layout if len(entry.shape) > 1]
        cosine = torch.nn.functional.cosine_similarity
        return torch.stack(
            [
                1 - torch.stack([cosine(each[:, span], candidates[:, span]) for span in spans]).mean(0)
                for each in children
            ]
        ).clamp(min=0)
