"""How well a linear probe reads a checkpoint's properties off its embedding.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoobench.methods.base import Embedder
from zoobench.tasks.measurement import Measurement
from zoobench.tokens import Population

TASK = "property_prediction"
STRENGTHS = np.logspace(-4, 6, 11)
HYPERPARAMETERS = [
    "activation",
    "init",
    "optimizer",
    "learning_rate",
    "weight_decay",
    "dropout",
    "batch_size",
]

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]


def property_prediction(name: str, method: Embedder, population: Population, seed: int) -> list[Measurement]:
    """R² and Kendall's τ of test accuracy, generalization gap and epoch, and accuracy on each hyperparameter that
    varies, on the checkpoints of the test models."""
    features = method.embed(population).double().numpy()
    splits = [(population.table["split"] == split).to_numpy() for split in ("train", "val", "test")]
    measurements = []
    for target, values in numeric_targets(population.table):
        predicted = regress(features, values, *splits)
        truth = values[splits[2]]
        measurements.append((f"r2:{target}", r_squared(truth, predicted)))
        measurements.append((f"tau:{target}", kendall_tau(truth, predicted)))
    for target, classes in categorical_targets(population.table, splits[0]):
        predicted_classes = classify(features, classes, *splits)
        measurements.append((f"accuracy:{target}", float(np.mean(predicted_classes == classes[splits[2]]))))
    return [Measurement(TASK, name, population.name, metric, seed, value) for metric, value in measurements]


def numeric_targets(table: pd.DataFrame) -> Iterator[tuple[str, Array]]:
    """Names and values of the properties that are numbers."""
    yield "test_accuracy", table["test_accuracy"].to_numpy(float)
    yield "generalization_gap", (table["train_accuracy"] - table["test_accuracy"]).to_numpy(float)
    yield "epoch", table["epoch"].to_numpy(float)


def categorical_targets(table: pd.DataFrame, train: Rows) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Names and values, as strings, of the hyperparameters that vary among the training models."""
    for column in HYPERPARAMETERS:
        values = table[column].to_numpy().astype(np.str_)
        if len(set(values[train])) > 1:
            yield column, values


def regress(features: Array, values: Array, train: Rows, val: Rows, test: Rows) -> Array:
    """Ridge regression on standardised features, its strength chosen on validation; predictions for `test`."""
    from sklearn.linear_model import Ridge

    scaled = _standardised(features, train)
    fits = [Ridge(alpha=strength).fit(scaled[train], values[train]) for strength in STRENGTHS]
    errors = [np.mean((fit.predict(scaled[val]) - values[val]) ** 2) for fit in fits]
    return np.asarray(fits[int(np.argmin(errors))].predict(scaled[test]))


def classify(features: Array, classes: NDArray[np.str_], train: Rows, val: Rows, test: Rows) -> NDArray[np.str_]:
    """Ridge classification, likewise."""
    from sklearn.linear_model import RidgeClassifier

    scaled = _standardised(features, train)
    fits = [RidgeClassifier(alpha=strength).fit(scaled[train], classes[train]) for strength in STRENGTHS]
    accuracies = [np.mean(fit.predict(scaled[val]) == classes[val]) for fit in fits]
    return np.asarray(fits[int(np.argmax(accuracies))].predict(scaled[test]))


def r_squared(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; not a number where the truth does not vary."""
    spread = np.sum((truth - truth.mean()) ** 2)
    return float(1 - np.sum((truth - predicted) ** 2) / spread) if spread > 0 else float("nan")


def kendall_tau(truth: Array, predicted: Array) -> float:
    """Kendall's rank correlation τ-b."""
    from scipy.stats import kendalltau

    return float(kendalltau(truth, predicted).statistic)


def _standardised(features: Array, train: Rows) -> Array:
    from sklearn.preprocessing import StandardScaler

    return np.asarray(StandardScaler().fit(features[train]).transform(features))
