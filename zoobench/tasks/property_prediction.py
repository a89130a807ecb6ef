"""How well a linear probe reads a checkpoint's properties off its embedding.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoobench.methods.base import Embedder
from zoobench.tasks.measurement import Measurement
from zoobench.tokens import Population

TASK = "property_prediction"
POOLED_TASK = "pooled_property_prediction"
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


def property_prediction(
    name: str, method: Embedder, populations: Sequence[Population], seed: int
) -> Iterator[Measurement]:
    """A probe for each population and, where a method embeds them all in one space, one for all of them (pooled).

    R² and Kendall's τ of test accuracy, generalization gap and epoch, and accuracy on each hyperparameter that varies,
    on the checkpoints of the test models.
    """
    features = [method.embed(population).double().numpy() for population in populations]
    for population, rows in zip(populations, features, strict=True):
        for metric, value in probe(rows, population.table):
            yield Measurement(TASK, name, population.name, metric, seed, value)
    if len(populations) > 1 and len({rows.shape[1] for rows in features}) == 1:
        table = pd.concat([population.table for population in populations], ignore_index=True)
        for metric, value in probe(np.concatenate(features), table):
            yield Measurement(POOLED_TASK, name, "pooled", metric, seed, value)


def probe(features: Array, table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Names and values of the metrics of one probe: features [checkpoints, width], a row of the table each."""
    splits = [(table["split"] == split).to_numpy() for split in ("train", "val", "test")]
    for target, values in numeric_targets(table):
        predicted = regress(features, values, *splits)
        truth = values[splits[2]]
        yield f"r2:{target}", r_squared(truth, predicted)
        yield f"tau:{target}", kendall_tau(truth, predicted)
    for target, classes in categorical_targets(table, splits[0]):
        predicted_classes = classify(features, classes, *splits)
        yield f"accuracy:{target}", float(np.mean(predicted_classes == classes[splits[2]]))


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
    """Ridge regression on standardised features; predictions for `test`.

    Its strength is chosen on validation models, which then join the training models for the last fit.
    """
    from sklearn.linear_model import Ridge

    scaled = _standardised(features, train)
    fits = [Ridge(alpha=strength).fit(scaled[train], values[train]) for strength in STRENGTHS]
    errors = [np.mean((fit.predict(scaled[val]) - values[val]) ** 2) for fit in fits]
    chosen, both = fits[int(np.argmin(errors))], train | val
    return np.asarray(chosen.fit(scaled[both], values[both]).predict(scaled[test]))


def classify(features: Array, classes: NDArray[np.str_], train: Rows, val: Rows, test: Rows) -> NDArray[np.str_]:
    """Ridge classification, likewise."""
    from sklearn.linear_model import RidgeClassifier

    scaled = _standardised(features, train)
    fits = [RidgeClassifier(alpha=strength).fit(scaled[train], classes[train]) for strength in STRENGTHS]
    accuracies = [np.mean(fit.predict(scaled[val]) == classes[val]) for fit in fits]
    chosen, both = fits[int(np.argmax(accuracies))], train | val
    return np.asarray(chosen.fit(scaled[both], classes[both]).predict(scaled[test]))


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
