"""Whether two models were trained independently: an exact test.

The units of a layer are initialized and trained alike, so a model with its units in another order is as likely as the
model itself. If another model has nothing to do with it, the model is no more similar to that one than its permuted
copies are. Source: Zhu et al., Independence tests for language models, arXiv 2502.12292, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
    """The decimal logarithm of the p-value that a pair is independent, counted from the smallest that there is, and
    `TIES` of one minus the cosine. permutations: of the child's units."""

    permutations: int = 1999

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """See `Measure`."""
        values = p_values(children, candidates, self.permutations)
        cosine = normalize(children.weights) @ normalize(candidates.weights).T
        return (values * (1 + self.permutations)).log10().float() + TIES * (1 - cosine)


def p_values(children: Population, candidates: Population, permutations: int, seed: int = 0) -> Tensor:
    """p-values [children, candidates], float64, that two models are independent: the share of copies of the child, with
    its units permuted, and the child itself, that are as similar to the candidate by their inner product.

    Uniform on multiples of 1 / (1 + permutations) if a pair is independent, whatever the training was. Raises
    `InapplicableError` if the units of the models cannot be permuted.
    """
    layout, groups = children.layout, groups_of(children)
    if not any(group.kind == "permutation" for group in groups):
        raise InapplicableError(f"the units of {children.name} cannot be permuted; choose another method")
    generator = torch.Generator().manual_seed(seed)
    above = torch.zeros(len(children), len(candidates), dtype=torch.float64)
    similar, left = children.weights @ candidates.weights.T, permutations
    while left:
        count = min(left, max(1, ELEMENTS // layout.size))
        index, left = random_permutations(layout, groups, count, generator), left - count
        for number, child in enumerate(children.weights):
            above[number] += (child[index] @ candidates.weights.T >= similar[number]).sum(0)
    return (1 + above) / (1 + permutations)
