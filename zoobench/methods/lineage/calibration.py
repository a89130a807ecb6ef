"""What is learned from trained families: how far apart a child and its parent are at most, and which of both is older.

Scores are calibrated by it, so that the answer "none of these" has the score 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zoobench.populations import Population
from zoobench.populations.lineage import NONE, Lineage

FAMILIES = 4
"""Of a population's training models, drawn at random: their models are compared in pairs."""

PENALTY = 0.3
"""Of a pair in the wrong direction, as a share of the mean distance. Source: Horwitz et al., arXiv 2405.18432."""

Apart = Callable[[Population, Population], Tensor]
"""How far apart two models are, [children, candidates], 0 or more."""

Trait = Callable[[Population], Tensor]
"""A number of each model [models] that training changes in one direction."""


@dataclass(frozen=True)
class Calibration:
    """limit: a child and its parent are less far apart than that; penalty: what a pair in the wrong direction is
    further apart; sign: 1 if training raises the trait that shows the direction, -1 if it lowers it, 0 if none does.
    """

    limit: float = 0.0
    penalty: float = 0.0
    sign: int = 0

    def scores(self, apart: Tensor, child: Tensor | None = None, candidate: Tensor | None = None) -> Tensor:
        """Scores [children, candidates], float32; child, candidate: the traits of both, None if they have none."""
        if child is not None and candidate is not None:
            apart = apart + self.penalty * ((child[:, None] - candidate) * self.sign < 0)
        return (self.limit - apart).float()


def few(populations: Iterable[Population], seed: int) -> list[Lineage]:
    """The lineage of each population, of `FAMILIES` families at most."""
    random, found = np.random.default_rng(seed), []
    for line in (Lineage.of(each) for each in populations if len(each)):
        found.append(line.among(random.permutation(np.unique(line.families))[:FAMILIES]))
    return found


def calibrated(lineages: Sequence[Lineage], apart: Apart, trait: Trait | None = None) -> Calibration:
    """What tells children and their parents from first models and what is nearest to these in other trees, best.

    Without any child among the models, no pair is near enough.
    """
    pairs = [apart(line.models, line.models) for line in lineages]
    traits = [None if trait is None else trait(line.models) for line in lineages]
    rough = Calibration(0.0, *_direction(lineages, pairs, traits))
    related, unrelated = [torch.zeros(0)], [torch.zeros(0)]
    for line, each, values in zip(lineages, pairs, traits, strict=True):
        distances = -rough.scores(each, values, values)
        related.append(distances[torch.from_numpy(line.edges)])
        first = torch.from_numpy(line.parents == NONE)
        own = torch.from_numpy(line.roots[:, None] == line.roots)
        unrelated.append(distances.masked_fill(own, torch.inf)[first].amin(1))
    return replace(rough, limit=_limit(torch.cat(related), torch.cat(unrelated)))


def _direction(
    lineages: Sequence[Lineage], pairs: Sequence[Tensor], traits: Sequence[Tensor | None]
) -> tuple[float, int]:
    """The penalty of the wrong direction, and the sign of the right one."""
    if all(each is None for each in traits):
        return 0.0, 0
    near = torch.cat([each[~torch.eye(len(each), dtype=torch.bool)] for each in pairs])
    grown = torch.zeros(0)
    for line, values in zip(lineages, traits, strict=True):
        if values is not None:
            child = torch.from_numpy(line.parents != NONE)
            grown = torch.cat([grown, (values[child] - values[line.parents[child.numpy()]]).float()])
    return PENALTY * float(near.mean()) if len(near) else 0.0, 1 if float(grown.sign().sum()) >= 0 else -1


def _limit(related: Tensor, unrelated: Tensor) -> float:
    """The limit that has most of the related distances [n] below it and most of the unrelated ones above it, in shares:
    in the middle between two distances."""
    unrelated = unrelated[unrelated.isfinite()].sort().values
    if not len(related):
        return float(unrelated[0]) if len(unrelated) else 0.0
    if not len(unrelated):
        return 2 * float(related.max())
    limits, place = torch.cat([related, unrelated]).sort()
    below = (place < len(related)).cumsum(0) / len(related) - (place >= len(related)).cumsum(0) / len(unrelated)
    best = int(below.argmax())
    return float(limits[best : best + 2].mean())
