"""The symmetries of a population's models, and its models brought as close to one of them as these allow."""

from __future__ import annotations

from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.evaluation import build_module
from zoobench.symmetry import Group, match_closest, symmetry_groups
from zoobench.tokens import Population


def groups_of(population: Population) -> tuple[Group, ...]:
    """The symmetries that all models of a population have: those of its architecture under each activation.

    None where the network of one cannot be run.
    """
    found = []
    for _, row in population.table.drop_duplicates("activation").iterrows():
        size = int(row["image_size"])
        try:
            module = build_module(row)
        except InputError:
            return ()
        found.append(symmetry_groups(module, (int(row["channels"]), size, size)))
    return tuple(group for group in found[0] if all(group in others for others in found[1:]))


def reference_of(population: Population) -> Tensor:
    """Flat weights [D] of the model that a population is matched to: its best by validation accuracy."""
    return population.weights[int(population.table["val_accuracy"].argmax())].clone()


def matched_to_best(population: Population) -> Tensor:
    """Weights [checkpoints, D] with units permuted, and flipped where that is a symmetry, to match the best model."""
    return match_closest(population.weights, reference_of(population), population.layout, groups_of(population))
