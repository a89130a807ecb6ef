"""The symmetries of a population's models, and matching the models to one of them by these symmetries."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.registry import ACTIVATIONS, ARCHITECTURES
from zoo_generation.networks.symmetry import Group, match_closest, symmetry_groups
from zoobench.populations import Population

_FOUND: dict[tuple[object, ...], tuple[Group, ...]] = {}


def groups_of(population: Population) -> tuple[Group, ...]:
    """The symmetries that all models of a population have: those of its architecture under each of its activations, or
    under every known one if activations are hidden. Empty for a user's network that cannot be run.

    Raises `InputError` if one of our networks cannot be built or run from its columns, and if an architecture is not
    registered.
    """
    found = []
    for _, row in population.table.drop_duplicates("activation").iterrows():
        hidden = population.is_blind and pd.isna(row["activation"])
        for activation in ACTIVATIONS.own if hidden else [row["activation"]]:
            try:
                found.append(_groups_of_network(pd.Series(row.to_dict() | {"activation": activation})))
            except InputError:
                if ":" in get_architecture(row["architecture"]).name:
                    return ()
                raise
    return tuple(group for group in found[0] if all(group in others for others in found[1:]))


def _groups_of_network(row: pd.Series) -> tuple[Group, ...]:
    """Those of a row's network. Of ours they are found once, since it takes a while; others' networks may change."""
    module, shape = runnable_module(row), (int(row["channels"]), int(row["image_size"]), int(row["image_size"]))
    if row["architecture"] not in ARCHITECTURES.own:
        return symmetry_groups(module, shape)
    network = (*(row[name] for name in ("architecture", "activation", "classes", "width")), *shape)
    if network not in _FOUND:
        _FOUND[network] = symmetry_groups(module, shape)
    return _FOUND[network]


def reference_of(population: Population) -> Tensor:
    """Flat weights [D] of the model that a population is matched to: the best by validation accuracy; if that was not
    measured, by test accuracy; if neither was, the first."""
    for metric in ("val_accuracy", "test_accuracy"):
        accuracy = population.table[metric].astype(float)
        if accuracy.notna().any():
            return population.weights[int(accuracy.fillna(-1.0).argmax())].clone()
    return population.weights[0].clone()


def matched_to_best(population: Population) -> Tensor:
    """Weights [checkpoints, D] with units permuted, and flipped if that is a symmetry, to match the best model."""
    return match_closest(population.weights, reference_of(population), population.layout, groups_of(population))
