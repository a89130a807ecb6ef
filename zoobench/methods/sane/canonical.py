"""The canonical form: models of a population with units permuted, and flipped, to match one of them.

So units have the same meaning in all models, and the same sign if the activation leaves it open.

Source: Schürholt et al., SANE, arXiv 2406.09997, section 3.2, after Git Re-Basin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_generation.networks.symmetry import match_weights, random_symmetries
from zoobench.methods.sane.windows import View
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of

MAP_ELEMENTS = 2**26  # of the index maps of a population, 4 bytes each; five of a ResNet-18


def canonical(population: Population, references: dict[str, Tensor], flips: bool) -> Tensor:
    """Weights [checkpoints, D] matched to the population's reference; `flips`: also by the signs of units.

    A population without a reference takes that of a population with the same model size (the same architecture on
    another dataset); if there is none, weights stay as they are.
    """
    same_size = [reference for reference in references.values() if len(reference) == population.layout.size]
    reference = references.get(population.name, same_size[0] if same_size else None)
    if reference is None:
        return population.weights
    return match_weights(population.weights, reference, population.layout, groups_of(population), flips)


def maps_within(count: int, elements: int) -> int:
    """That many maps, of so many elements each, or as many as hold at most `MAP_ELEMENTS`, down to one."""
    return min(count, max(1, MAP_ELEMENTS // elements))


def random_view(population: Population, count: int, flips: bool, generator: torch.Generator) -> View | None:
    """`count` random permutations of a population's models, with `flips` of units too, for a second view.

    None if the models have none. Large models get fewer, see `maps_within`.
    """
    tokenizer = population.tokenizer
    count = maps_within(count, tokenizer.mask.numel())
    if count == 0:
        return None
    index, factor = random_symmetries(tokenizer.layout, groups_of(population), count, generator, flips)
    places = tokenizer.index.clamp(max=tokenizer.layout.size - 1)
    return View(index.int()[:, places], factor[:, places] if bool((factor != 1).any()) else None)
