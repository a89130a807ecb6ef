"""The canonical form: models of a population permuted, and units flipped, to match one of them.

So units have the same meaning, and the same sign where the activation leaves it open, in all models.

Source: Schürholt et al., SANE, arXiv 2406.09997, section 3.2, after Git Re-Basin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.evaluation import build_module
from zoobench.symmetry import Group, match_weights, random_permutations, symmetry_groups
from zoobench.tokens import Population

MAP_ELEMENTS = 2**21


def groups_of(population: Population) -> tuple[Group, ...]:
    """The symmetries of a population's architecture."""
    row = population.table.iloc[0]
    size = int(row["image_size"])
    return symmetry_groups(build_module(row), (int(row["channels"]), size, size))


def reference_of(population: Population) -> Tensor:
    """Flat weights [D] of the model that a population is matched to: its best by validation accuracy."""
    return population.weights[int(population.table["val_accuracy"].argmax())].clone()


def canonical(population: Population, references: dict[str, Tensor]) -> Tensor:
    """Weights [checkpoints, D] matched to the population's reference.

    A population without one of its own takes that of a population of the same size of model (the same architecture
    on another dataset); where there is none either, weights stay as they are.
    """
    same_size = [reference for reference in references.values() if len(reference) == population.layout.size]
    reference = references.get(population.name, same_size[0] if same_size else None)
    if reference is None:
        return population.weights
    return match_weights(population.weights, reference, population.layout, groups_of(population))


def views(population: Population, count: int, generator: torch.Generator) -> Tensor:
    """Index maps [maps, D + 1] for the second view: `count` random permutations, or the identity; padding stays.

    Large models get fewer, down to one: the maps together hold `MAP_ELEMENTS` at most.
    """
    size = population.layout.size
    if count == 0:
        return torch.arange(size + 1)[None]
    count = max(1, min(count, MAP_ELEMENTS // size))
    maps = random_permutations(population.layout, groups_of(population), count, generator)
    return torch.cat([maps, torch.full((count, 1), size)], dim=1)
