"""Predict properties without any weights: what a method must beat before its features say anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoobench.methods.boosting import read_by_trees
from zoobench.methods.unlearned import Unlearned


class TrainingMean(Unlearned):
    """The mean of the known checkpoints, or their most frequent class: the R² that is 0, but for luck."""

    def predict_from(
        self, known: pd.DataFrame, values: NDArray[Any], asked: pd.DataFrame
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """See `TablePredictor.predict_from`."""
        if values.dtype.kind == "f":
            return np.full(len(asked), values.mean())
        classes, counts = np.unique(values, return_counts=True)
        return np.full(len(asked), classes[counts.argmax()])


class Hyperparameters(Unlearned):
    """Boosted trees on how models were trained, and for how many epochs.

    Source: Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448, in whose released
    results hyperparameters alone explain 92 to 94 % of the variance of accuracy.
    """

    def predict_from(
        self, known: pd.DataFrame, values: NDArray[Any], asked: pd.DataFrame
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """See `TablePredictor.predict_from`."""
        tables = pd.concat([known, asked], ignore_index=True).drop(columns="split")
        words = [name for name, column in tables.items() if not pd.api.types.is_numeric_dtype(column)]
        features = pd.get_dummies(tables, columns=words, dtype=float).to_numpy(float, na_value=np.nan)
        held_out = (known["split"] == "val").to_numpy()
        return read_by_trees(features[: len(known)], values, held_out, features[len(known) :])
