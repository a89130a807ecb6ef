"""Linear probes: what can be read off features of checkpoints about the models, and how that is scored.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.errors import InputError
from zoo_generation.spec import AXES
from zoobench.methods.base import Embedder
from zoobench.tasks.base import InapplicableError
from zoobench.tasks.sums import Sums
from zoobench.tokens import Population

STRENGTHS = np.logspace(-1, 4, 6)
FOLDS = 4
HYPERPARAMETERS = [axis for axis in AXES if axis not in ("width", "schedule")]

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]
Strings = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Checkpoints as a probe sees them: features [checkpoints, width], and a row of a zoo's table each."""

    features: Array
    table: pd.DataFrame

    @classmethod
    def of(cls, method: Embedder, population: Population) -> Embedded:
        """A population as the method embeds it."""
        return cls(method.embed(population).double().numpy(), population.table)

    @classmethod
    def join(cls, parts: Sequence[Embedded]) -> Embedded:
        """All in one; raises `InputError` where there are none, or their features differ in number."""
        if not parts:
            raise InputError("a probe was to be fitted to no population; name one or more to train on")
        check_widths(*parts)
        tables = [part.table for part in parts]
        return cls(np.concatenate([part.features for part in parts]), pd.concat(tables, ignore_index=True))

    def where(self, rows: Rows) -> Embedded:
        """The checkpoints for which `rows` [checkpoints] is true."""
        return Embedded(self.features[rows], self.table[rows].reset_index(drop=True))

    @property
    def test(self) -> Embedded:
        """The checkpoints of test models."""
        return self.where((self.table["split"] == "test").to_numpy())

    @property
    def rest(self) -> Embedded:
        """The checkpoints of training and validation models."""
        return self.where((self.table["split"] != "test").to_numpy())


def read(fit: Embedded, test: Embedded) -> pd.DataFrame:
    """What probes that are fitted to `fit` read off `test`: a row for each property and checkpoint.

    Columns: model, epoch, property, kind (`number` or `class`); truth and predicted of numbers; true_class and
    predicted_class of classes, as strings. The properties are test accuracy, generalization gap and epoch, of those
    that the zoos record of every checkpoint, and each hyperparameter that varies among the models of `fit`. Raises
    `InputError` where there are too few models.
    """
    models = fit.table["model_id"].to_numpy()
    if len(set(models)) < 2 or not len(test.table):
        raise InputError("a probe needs two models to be fitted to, and one to be tested on; take larger zoos")
    check_widths(fit, test)
    pieces = []
    for name, values in numbers(fit.table).items():
        truth = numbers(test.table)[name]
        if np.isfinite(values).all() and np.isfinite(truth).all():
            predicted = regress(fit.features, values, models, test.features)
            pieces.append(_rows(test.table, name, "number", truth=truth, predicted=predicted))
    for name, classes in varying_classes(fit.table):
        read_off = classify(fit.features, classes, models, test.features)
        true = as_classes(test.table[name])
        pieces.append(_rows(test.table, name, "class", true_class=true, predicted_class=read_off))
    return pd.concat(pieces, ignore_index=True)


def check_widths(*parts: Embedded) -> None:
    """Raise `InapplicableError` where features differ in number."""
    if len(widths := {part.features.shape[1] for part in parts}) > 1:
        lengths = " and ".join(map(str, sorted(widths)))
        raise InapplicableError(
            f"this method's features have different lengths for different architectures ({lengths}), so one probe "
            "cannot read them all; take populations of one architecture, or another method"
        )


def _rows(table: pd.DataFrame, name: str, kind: str, **columns: Array | Strings) -> pd.DataFrame:
    """Observations of one property; what it has no columns of is not a number, or no string."""
    empty = {"truth": np.nan, "predicted": np.nan, "true_class": None, "predicted_class": None}
    model, epoch = table["model_id"].astype(str).to_numpy(), table["epoch"].to_numpy()
    row = {"model": model, "epoch": epoch, "property": name, "kind": kind} | empty | columns
    return pd.DataFrame(row).astype({"true_class": object, "predicted_class": object})


def numbers(table: pd.DataFrame) -> dict[str, Array]:
    """The properties that are numbers, by name."""
    gap = table["train_accuracy"] - table["test_accuracy"]
    columns = {"test_accuracy": table["test_accuracy"], "generalization_gap": gap, "epoch": table["epoch"]}
    return {name: column.to_numpy(float) for name, column in columns.items()}


def varying_classes(table: pd.DataFrame) -> Iterator[tuple[str, Strings]]:
    """Names and values, as strings, of the hyperparameters that vary."""
    for column in HYPERPARAMETERS:
        values = as_classes(table[column])
        if len(set(values)) > 1:
            yield column, values


def as_classes(column: pd.Series) -> Strings:
    """Values as strings."""
    return column.to_numpy().astype(np.str_)


def regress(features: Array, values: Array, models: Strings, test: Array) -> Array:
    """Ridge regression on standardised features [checkpoints, width]; predictions for `test` [others, width]."""
    from sklearn.linear_model import Ridge

    return _predicted(Ridge(), "neg_mean_squared_error", features, values, models, test)


def classify(features: Array, classes: Strings, models: Strings, test: Array) -> Strings:
    """Ridge classification, likewise."""
    from sklearn.linear_model import RidgeClassifier

    return _predicted(RidgeClassifier(), "accuracy", features, classes, models, test)


def _predicted(
    estimator: Any, scoring: str, features: Array, targets: Array | Strings, models: Strings, test: Array
) -> Any:
    """The strength of the ridge is chosen by cross-validation over models, all checkpoints of one in the same fold."""
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    pipeline = Pipeline([("scale", StandardScaler()), ("ridge", estimator)])
    folds = GroupKFold(min(FOLDS, len(set(models))))
    search = GridSearchCV(pipeline, {"ridge__alpha": STRENGTHS}, cv=folds, scoring=scoring)
    with threadpool_limits(1):  # many small fits: threads would spend their time waiting for each other
        return search.fit(features, targets, groups=models).predict(test)


def score(observations: pd.DataFrame) -> dict[str, float]:
    """R² and Kendall's τ-b of the properties that are numbers, accuracy of those that are classes."""
    scores = {}
    for (name, kind), rows in observations.groupby(["property", "kind"], sort=False):
        if kind == "number":
            truth, predicted = rows["truth"].to_numpy(float), rows["predicted"].to_numpy(float)
            scores[f"r2:{name}"] = r_squared(truth, predicted)
            scores[f"tau:{name}"] = kendall_tau(truth, predicted)
        else:
            scores[f"accuracy:{name}"] = float((rows["true_class"] == rows["predicted_class"]).mean())
    return scores


def sums(observations: pd.DataFrame) -> dict[str, Sums]:
    """Of R² and accuracy; τ compares pairs of checkpoints, and is no function of sums over models."""
    found = {}
    for (name, kind), rows in observations.groupby(["property", "kind"], sort=False):
        if kind == "number":
            found[f"r2:{name}"] = Sums.r2(rows["model"], rows["truth"], rows["predicted"])
        else:
            right = (rows["true_class"] == rows["predicted_class"]).astype(float)
            found[f"accuracy:{name}"] = Sums.mean(rows["model"], right)
    return found


def r_squared(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; not a number where the truth does not vary."""
    spread = np.sum((truth - truth.mean()) ** 2)
    return float(1 - np.sum((truth - predicted) ** 2) / spread) if spread > 0 else float("nan")


def kendall_tau(truth: Array, predicted: Array) -> float:
    """Kendall's rank correlation τ-b."""
    from scipy.stats import kendalltau

    return float(kendalltau(truth, predicted).statistic)
