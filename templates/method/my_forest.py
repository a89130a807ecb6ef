"""A random forest on statistics of each layer's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from zoobench import InapplicableError, Method, Population, Unlearned


@dataclass(frozen=True)
class MyForest(Unlearned):
    """Predicts by a random forest on statistics of each layer.

    Fields are hyperparameters; `seed` is given by whoever fits it.
    """

    trees: int = 200
    seed: int = 0

    def predict(self, known: Sequence[Population], values: NDArray[Any], asked: Population) -> NDArray[Any]:
        """[asked checkpoints], numbers or classes as the values [known checkpoints] are."""
        features, others = [statistics(population) for population in known], statistics(asked)
        if any(each.shape[1] != others.shape[1] for each in features):
            raise InapplicableError("my_forest reads models with the same number of layers; take one architecture")
        kind = RandomForestRegressor if values.dtype.kind == "f" else RandomForestClassifier
        return kind(self.trees, random_state=self.seed).fit(np.concatenate(features), values).predict(others)


def statistics(population: Population) -> NDArray[np.float32]:
    """Mean and deviation of each entry of the state dict, [checkpoints, 2 · entries]."""
    entries = [population.weights[:, entry.span] for entry in population.layout]
    moments = [moment for entry in entries for moment in (entry.mean(1), entry.std(1, correction=0))]
    return torch.stack(moments, dim=1).numpy()


METHOD = Method("my_forest", MyForest, {"default": MyForest(), "large": MyForest(trees=1000)}, learns=False)
