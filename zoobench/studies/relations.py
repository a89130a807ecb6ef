"""The relation of a target to the training set of a method."""

from __future__ import annotations

from typing import Literal

from zoobench.evaluation.plan import Origin, TrainingSet

ID = "ID"
"""The relation of a composition to a target that is in it; all others are out of distribution."""

Relation = Literal["ID", "OOD zoo", "OOD dataset", "OOD architecture", "OOD both"]
"""Relations of a target to a composition: it is trained on; or it is not, but another zoo of the same dataset and
architecture is; or none of its dataset, of its architecture, of either is."""

MEAN = "mean over "
"""Names of several targets that are compared at once begin with this."""


def relation(target: Origin, training: TrainingSet) -> Relation:
    """The relation of a target to a training set."""
    if target in training.origins:
        return "ID"
    kinds = [origin.kind for origin in training.origins]
    dataset = any(kind.dataset == target.kind.dataset for kind in kinds)
    architecture = any(kind.shape == target.kind.shape for kind in kinds)
    if dataset and architecture:
        return "OOD zoo"
    if dataset:
        return "OOD architecture"
    return "OOD dataset" if architecture else "OOD both"
