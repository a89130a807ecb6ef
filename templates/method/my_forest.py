"""A random forest on statistics of each layer's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

import zoobench as zb


@dataclass(frozen=True)
class MyForest(zb.Unlearned):
    """Fields are hyperparameters; `seed` is set when it is fitted."""

    trees: int = 200
    seed: int = 0

    def predict(self, known: Sequence[zb.Population], values: NDArray[Any], asked: zb.Population) -> NDArray[Any]:
        """One value per asked checkpoint, of the kind of `values`, which has one per known checkpoint."""
        features, others = [statistics(population) for population in known], statistics(asked)
        if any(each.shape[1] != others.shape[1] for each in features):
            raise zb.InapplicableError("my_forest reads models with the same number of layers; take one architecture")
        kind = RandomForestRegressor if values.dtype.kind == "f" else RandomForestClassifier
        return kind(self.trees, random_state=self.seed).fit(np.concatenate(features), values).predict(others)


def statistics(population: zb.Population) -> NDArray[np.float32]:
    """Mean and deviation of each entry of the state dict, [checkpoints, 2 · entries]."""
    entries = [population.weights[:, entry.span] for entry in population.layout]
    moments = [moment for entry in entries for moment in (entry.mean(1), entry.std(1, correction=0))]
    return torch.stack(moments, dim=1).numpy()


METHOD = zb.Method(
    "my_forest",
    MyForest,
    {"default": MyForest(), "large": MyForest(trees=1000)},
    learns=False,
    summary="Predicts with a random forest on mean and deviation of each layer",
    version=1,
)
