"""How well a linear probe reads a checkpoint's properties off its embedding.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.spec import AXES
from zoobench.methods.base import Embedder
from zoobench.tasks.measurement import Measurement
from zoobench.tokens import Population

TASK = "property_prediction"
POOLED_TASK = "pooled_property_prediction"
STRENGTHS = np.logspace(-1, 4, 6)
FOLDS = 4
HYPERPARAMETERS = [axis for axis in AXES if axis not in ("width", "schedule")]

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]
Strings = NDArray[np.str_]


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
    test = (table["split"] == "test").to_numpy()
    models = table["model_id"].to_numpy()
    for target, values in numeric_targets(table):
        predicted = regress(features, values, models, test)
        yield f"r2:{target}", r_squared(values[test], predicted)
        yield f"tau:{target}", kendall_tau(values[test], predicted)
    for target, classes in categorical_targets(table, ~test):
        yield f"accuracy:{target}", float(np.mean(classify(features, classes, models, test) == classes[test]))


def numeric_targets(table: pd.DataFrame) -> Iterator[tuple[str, Array]]:
    """Names and values of the properties that are numbers."""
    yield "test_accuracy", table["test_accuracy"].to_numpy(float)
    yield "generalization_gap", (table["train_accuracy"] - table["test_accuracy"]).to_numpy(float)
    yield "epoch", table["epoch"].to_numpy(float)


def categorical_targets(table: pd.DataFrame, train: Rows) -> Iterator[tuple[str, Strings]]:
    """Names and values, as strings, of the hyperparameters that vary among the training models."""
    for column in HYPERPARAMETERS:
        values = table[column].to_numpy().astype(np.str_)
        if len(set(values[train])) > 1:
            yield column, values


def regress(features: Array, values: Array, models: Strings, test: Rows) -> Array:
    """Ridge regression on standardised features, fitted to the other rows; predictions for `test`."""
    from sklearn.linear_model import Ridge

    return _predicted(Ridge(), "neg_mean_squared_error", features, values, models, test)


def classify(features: Array, classes: Strings, models: Strings, test: Rows) -> Strings:
    """Ridge classification, likewise."""
    from sklearn.linear_model import RidgeClassifier

    return _predicted(RidgeClassifier(), "accuracy", features, classes, models, test)


def _predicted(
    estimator: Any, scoring: str, features: Array, targets: Array | Strings, models: Strings, test: Rows
) -> Any:
    """The strength of the ridge is chosen by cross-validation over models, all checkpoints of one in the same fold."""
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    pipeline = Pipeline([("scale", StandardScaler()), ("ridge", estimator)])
    train = ~test
    folds = GroupKFold(min(FOLDS, len(set(models[train]))))
    search = GridSearchCV(pipeline, {"ridge__alpha": STRENGTHS}, cv=folds, scoring=scoring)
    with threadpool_limits(1):  # many small fits: threads would spend their time waiting for each other
        return search.fit(features[train], targets[train], groups=models[train]).predict(features[test])


def r_squared(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; not a number where the truth does not vary."""
    spread = np.sum((truth - truth.mean()) ** 2)
    return float(1 - np.sum((truth - predicted) ** 2) / spread) if spread > 0 else float("nan")


def kendall_tau(truth: Array, predicted: Array) -> float:
    """Kendall's rank correlation τ-b."""
    from scipy.stats import kendalltau

    return float(kendalltau(truth, predicted).statistic)
