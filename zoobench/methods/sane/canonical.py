"""The canonical form: models of a population permuted to match one of them, so that units have the same meaning.

Source: Schürholt et al., SANE, arXiv 2406.09997, section 3.2, after Git Re-Basin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.evaluation import build_module
from zoobench.methods.sane.windows import View
from zoobench.symmetry import PermutationGroup, match_weights, permutation_groups, random_permutations
from zoobench.tokens import Population

MAP_ELEMENTS = 2**26  # of the index maps of a population, 4 bytes each; five of a ResNet-18


def groups_of(population: Population) -> tuple[PermutationGroup, ...]:
    """The permutation groups of a population's architecture."""
    row = population.table.iloc[0]
    size = int(row["image_size"])
    return permutation_groups(build_module(row), (int(row["channels"]), size, size))


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


def random_view(population: Population, count: int, generator: torch.Generator) -> View | None:
    """`count` random permutations of a population's models, as a second view; none where there are none.

    Large models get fewer, down to one: the maps together hold `MAP_ELEMENTS` at most.
    """
    tokenizer = population.tokenizer
    count = min(count, max(1, MAP_ELEMENTS // tokenizer.mask.numel()))
    if count == 0:
        return None
    maps = random_permutations(tokenizer.layout, groups_of(population), count, generator)
    places = tokenizer.index.clamp(max=tokenizer.layout.size - 1)
    return View(maps.int()[:, places])
