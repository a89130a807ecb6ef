"""Whether two models were trained independently: an exact test.

The units of a layer are initialized and trained alike, so a model with its units in another order is as likely as the
model itself. If another model has nothing to do with it, the model is no more similar to that one than its permuted
copies are. Layers that have no units in common are permuted independently, so what they say adds up. Source: Zhu et
al., Independence tests for language models, arXiv 2502.12292, section 3.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from scipy.stats import chi2
from torch import Tensor
from torch.nn.functional import normalize

from zoo_generation.networks.symmetry import random_permutations
from zoobench.methods.lineage.tracer import Measure
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of

ELEMENTS = 2**24
"""Weights of permuted copies in memory at once, 64 MiB."""

TIES = 0.01
"""What the similarity itself counts, so that it orders candidates of equal p-values."""


@dataclass(frozen=True)
class Independence(Measure):
    """The decimal logarithm of the p-value that a pair is independent, counted from below the smallest that there is,
    and `TIES` of one minus the cosine. permutations: of the child's units."""

    permutations: int = 1999

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """See `Measure`."""
        values = p_values(children, candidates, self.permutations)
        cosine = normalize(children.weights) @ normalize(candidates.weights).T
        reach = len(parts_of(children)) * math.log10(1 + self.permutations)
        return (values.log10() + reach).float() + TIES * (1 - cosine)


def p_values(children: Population, candidates: Population, permutations: int, seed: int = 0) -> Tensor:
    """p-values [children, candidates], float64, that two models are independent, combined over `parts_of` by Fisher's
    method.

    Of a part the p-value is the share of copies of the child, with its units permuted, and the child itself, that are
    as similar to the candidate by their inner product: uniform on multiples of 1 / (1 + permutations) if a pair is
    independent, whatever the training was. Raises `InapplicableError` if the units of the models cannot be permuted.
    """
    layout, groups, parts = children.layout, groups_of(children), parts_of(children)
    generator = torch.Generator().manual_seed(seed)
    theirs = [candidates.weights[:, part].T for part in parts]
    similar = [children.weights[:, part] @ each for part, each in zip(parts, theirs, strict=True)]
    above = torch.ones(len(parts), len(children), len(candidates), dtype=torch.float64)
    left = permutations
    while left:
        count = min(left, max(1, ELEMENTS // layout.size))
        index, left = random_permutations(layout, groups, count, generator), left - count
        for place, part in enumerate(parts):
            for number, child in enumerate(children.weights):
                copies = child[index[:, part]] @ theirs[place]
                above[place, number] += (copies >= similar[place][number]).sum(0)
    logarithms = (above / (1 + permutations)).log().sum(0)
    return torch.from_numpy(chi2.sf(-2 * logarithms.numpy(), 2 * len(parts)))


def parts_of(models: Population) -> list[Tensor]:
    """Places in the weights, a tensor for each of some layers that have no units in common: of the layer, and of what
    else belongs to its units alone. Layers are taken in their order, each that shares no units with those before.

    Raises `InapplicableError` if the units of the models cannot be permuted.
    """
    units: dict[str, set[int]] = defaultdict(set)
    for number, group in enumerate(groups_of(models)):
        if group.kind == "permutation":
            for axis in group.axes:
                units[axis.entry].add(number)
    parts: list[Tensor] = []
    taken: set[int] = set()
    for layer in models.layout:
        own = units.get(layer.name, set())
        if len(layer.shape) > 1 and own and not own & taken:
            taken |= own
            belongs = [each.span for each in models.layout if units.get(each.name) and units[each.name] <= own]
            parts.append(torch.cat([torch.arange(span.start, span.stop) for span in belongs]))
    if not parts:
        raise InapplicableError(f"the units of {models.name} cannot be permuted; choose another method")
    return parts
