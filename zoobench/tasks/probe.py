"""Readers: predict properties of models from features of their checkpoints, and score the predictions.

Each embedding is read twice: by a linear probe, and by gradient-boosted trees under the name `boosted_…`, since the
reader may matter more than the features (Unterthiner et al., arXiv 2002.11448, section 4).

Source of the probe: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.errors import InputError
from zoobench.methods.boosting import read_by_trees
from zoobench.methods.protocols import Comparable, Embedder, InapplicableError, Predictor, TablePredictor
from zoobench.populations import Population
from zoobench.populations.population import HYPERPARAMETERS as HYPERPARAMETERS
from zoobench.populations.population import OPEN
from zoobench.populations.population import as_classes as as_classes
from zoobench.populations.population import varying_classes as varying_classes
from zoobench.tasks.estimates import Estimate
from zoobench.zoo.schema import skills_among

STRENGTHS = np.logspace(-1, 4, 6)
FOLDS = 4
KEY = ["model", "epoch", "property"]
LANDSCAPE = {
    "ln_top_eigenvalue": "hessian_top_eigenvalue",
    "ln_trace": "hessian_trace",
    "mode_connectivity": "mode_connectivity",
    "cka": "cka",
}
"""Measured of a model's landscape, and the columns that hold them: the logarithm of the modulus of the first two."""

PHASE = "phase"
NUMBERS = ("test_accuracy", "generalization_gap", "epoch", *LANDSCAPE)
ALL = ("test_accuracy", "generalization_gap", "epoch", "hyperparameters")
"""The properties to predict if none are chosen: numbers, and every hyperparameter that varies."""
SKILLS = "skills"
"""Stands for the strengths of all skills, `skill_1` and so on, where zoos record them."""
LEARNED = 0.5  # of a skill: the strength from which it counts as learned
BOOSTED = "boosted_"
"""Prefix of a property's name: the same property, as boosted trees read it."""

VISIBLE = [*OPEN, *HYPERPARAMETERS, "epoch", "split"]
"""Columns that a `TablePredictor` sees, but for the property that it is asked for."""

OBSERVED = [*KEY, "kind", "truth", "predicted", "true_class", "predicted_class"]

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]
Strings = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Checkpoints as a probe sees them: features [checkpoints, width], and their rows of a zoo's table."""

    features: Array
    table: pd.DataFrame

    @classmethod
    def of(cls, method: Embedder, population: Population, hidden: Collection[str] = ()) -> Embedded:
        """A population as the method embeds it, without seeing the columns `hidden`.

        Raises `InputError` if the embedding is not finite.
        """
        features = population.asked(method.embed, hidden)
        finite = features.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            model, epoch = population.table.iloc[finite.index(False)][["model_id", "epoch"]]
            raise InputError(
                f"the embedding of model {model} after epoch {epoch} is not finite; leave that model out, or take "
                "another method"
            )
        return cls(features.double().numpy(), population.table)

    @classmethod
    def join(cls, parts: Sequence[Embedded]) -> Embedded:
        """All in one, of one or more. Raises `InputError` if their features differ in number."""
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


Reader = Callable[[str, Any], Array | Strings]
"""Predicts a property of some checkpoints from that of others, given its name and its values."""


def read(fit: Embedded, test: Embedded, properties: Collection[str] = ALL) -> pd.DataFrame:
    """The predictions for `test` of a probe and of boosted trees that are fitted to `fit`: see `predict`.

    The split `val` of `fit` decides the number of trees.
    """
    check_widths(fit, test)
    models, held_out = fit.table["model_id"].to_numpy(), (fit.table["split"] == "val").to_numpy()

    def probe(name: str, values: Any) -> Array | Strings:
        fitted = regress if values.dtype.kind == "f" else classify
        return fitted(fit.features, values, models, test.features)

    def trees(name: str, values: Any) -> Array | Strings:
        return read_by_trees(fit.features, values, held_out, test.features)

    return predict(fit.table, test.table, {"": probe, BOOSTED: trees}, properties)


def read_by(
    method: Embedder | Predictor | TablePredictor,
    fit: Sequence[Population],
    test: Population,
    properties: Collection[str] = ALL,
) -> pd.DataFrame:
    """The predictions of a method, or of readers of its embedding, for `test` after it has seen the populations `fit`:
    see `predict`."""
    if not fit:
        raise InputError("no population was given to fit a probe to; name one or more to train on")
    tables = pd.concat([population.table for population in fit], ignore_index=True)
    _check_enough(tables["model_id"].nunique(), len(test))
    hidden = [name for name, _ in varying_classes(tables)]
    if isinstance(method, Predictor):
        known = [population.known() for population in fit]

        def answer(name: str, values: Any) -> Array | Strings:
            return test.asked(lambda asked: method.predict(known, values, asked=asked), hidden)

        return predict(tables, test.table, {"": answer}, properties)
    if isinstance(method, TablePredictor):

        def tell(name: str, values: Any) -> Array | Strings:
            shown = [column for column in VISIBLE if column in tables and column in test.table and column != name]
            return method.predict_from(tables[shown], values, test.table[shown])

        return predict(tables, test.table, {"": tell}, properties)
    if isinstance(method, Comparable):
        method.check_comparable([*fit, test])
    embedded = [Embedded.of(method, population, hidden) for population in fit]
    return read(Embedded.join(embedded), Embedded.of(method, test, hidden), properties)


def predict(
    known: pd.DataFrame, asked: pd.DataFrame, readers: Mapping[str, Reader], properties: Collection[str] = ALL
) -> pd.DataFrame:
    """The predictions for the checkpoints of the table `asked`: one row per property, reader and checkpoint.

    readers: by the prefix of the properties that they read. The one without prefix also reads properties that are
    named with a prefix and have no reader of their own, as for a method that predicts by itself. Columns: model, epoch,
    property; predicted for numbers, predicted_class, a string, for classes. The properties are those of `properties`
    that the zoos record of every checkpoint; of the hyperparameters, those that vary among the models of the table
    `known`. Raises `InputError` if there are too few models.
    """
    _check_enough(known["model_id"].nunique(), len(asked))
    number_names, class_names = askable(known, asked, properties)
    values, classes = numbers(known), dict(_classes(known))
    if constant := [name for name in map(recorded, class_names) if name not in classes]:
        raise InputError(
            f"the {constant[0]} of the models that a probe is fitted to is constant, or not recorded; leave it out of "
            "the task's properties, or take another zoo"
        )
    plain = [name for name in (*number_names, *class_names) if recorded(name) == name]
    every = dict.fromkeys((*number_names, *class_names, *(prefix + name for prefix in readers for name in plain)))
    predictions = []
    for name in every:
        of = recorded(name)
        reader = readers.get(name.removesuffix(of), readers[""])
        if is_number(of):
            predictions.append(_rows(asked, name, predicted=reader(of, values[of])))
        else:
            predictions.append(_rows(asked, name, predicted_class=reader(of, classes[of])))
    if not predictions:
        names = ", ".join(properties)
        raise InputError(f"none of the properties {names} is recorded of all checkpoints and varies; take another zoo")
    return pd.concat(predictions, ignore_index=True).reindex(columns=[*KEY, "predicted", "predicted_class"])


def askable(known: pd.DataFrame, asked: pd.DataFrame, properties: Collection[str] = ALL) -> tuple[list[str], list[str]]:
    """The names of the numbers, and those of the classes, among `properties`, to ask of the table `asked`.

    A number is asked if both tables record it of every checkpoint; a hyperparameter if it is named, or if
    `hyperparameters` is and it varies in the table `known`; likewise a skill, if it is named, or if `skills` is. A name
    with the prefix `BOOSTED` is asked like the one without.
    """
    both = [numbers(table) for table in (known, asked)]
    finite = [name for name in both[0] if name in both[1] and all(np.isfinite(each[name]).all() for each in both)]
    varying = [name for name, _ in varying_classes(known)] if "hyperparameters" in properties else []
    told = [prefix + name for prefix in ("", BOOSTED) for name in skills_among(finite) if prefix + SKILLS in properties]
    named = {*properties, *varying, *told}
    found = [[each for each in (name, BOOSTED + name) if each in named] for name in (*finite, *HYPERPARAMETERS, PHASE)]
    return [*chain(*found[: len(finite)])], [*chain(*found[len(finite) :])]


def is_number(name: str) -> bool:
    """Whether a property that zoos record is a number, and not a class."""
    return name in NUMBERS or bool(skills_among([name]))


def recorded(name: str) -> str:
    """The property that zoos record: `test_accuracy` of `boosted_test_accuracy`."""
    return name.removeprefix(BOOSTED)


def _check_enough(known: int, asked: int) -> None:
    """Raise `InputError` if there are too few models to fit a probe to, or none to test it on."""
    if known < 2 or not asked:
        raise InputError("a probe needs two models to fit and one to test; take larger zoos")


def judge(predictions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Predictions (model, epoch, property, predicted or predicted_class) beside the truth from the table `asked`, in
    the columns `OBSERVED`. Predictions of checkpoints that are not in the table are left out."""
    truths = []
    for name in predictions["property"].unique():
        of, kind = recorded(name), "number" if is_number(recorded(name)) else "class"
        known = {"truth": numbers(asked)[of]} if kind == "number" else {"true_class": as_classes(asked[of])}
        truths.append(_rows(asked, name, **known).assign(kind=kind))
    given = predictions.reindex(columns=[*KEY, "predicted", "predicted_class"])
    beside = given.merge(pd.concat(truths, ignore_index=True), on=KEY)
    return beside.reindex(columns=OBSERVED).astype({"true_class": object, "predicted_class": object})


def check_widths(*parts: Embedded) -> None:
    """Raise `InapplicableError` if features differ in number."""
    if len(widths := {part.features.shape[1] for part in parts}) > 1:
        lengths = " and ".join(map(str, sorted(widths)))
        raise InapplicableError(
            f"this method's features have different lengths for different architectures ({lengths}), so one probe "
            "cannot read them all; take populations of one architecture, or another method"
        )


def _rows(table: pd.DataFrame, name: str, **columns: Array | Strings) -> pd.DataFrame:
    """One row per checkpoint, with the columns of one property."""
    of = {"model": table["model_id"].astype(str).to_numpy(), "epoch": table["epoch"].to_numpy(), "property": name}
    return pd.DataFrame(of | columns)


def numbers(table: pd.DataFrame) -> dict[str, Array]:
    """The properties that are numbers, by name."""
    gap = table["train_accuracy"] - table["test_accuracy"]
    columns = {"test_accuracy": table["test_accuracy"], "generalization_gap": gap, "epoch": table["epoch"]}
    columns |= {name: table[name] for name in skills_among(table)}
    measured = {name: table[column] for name, column in LANDSCAPE.items() if column in table}
    for name in (name for name in measured if name.startswith("ln_")):
        measured[name] = np.log(measured[name].abs().where(measured[name] != 0))
    return {name: column.to_numpy(float) for name, column in (columns | measured).items()}


def _classes(table: pd.DataFrame) -> Iterator[tuple[str, Strings]]:
    """The properties that are classes and vary, by name: hyperparameters, and the phase."""
    yield from varying_classes(table)
    if PHASE in table and table[PHASE].notna().all() and table[PHASE].nunique() > 1:
        yield PHASE, as_classes(table[PHASE])


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
    """Cross-validation over models chooses the strength of the ridge; a model's checkpoints are all in the same
    fold."""
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    pipeline = Pipeline([("scale", StandardScaler()), ("ridge", estimator)])
    folds = GroupKFold(min(FOLDS, len(set(models))))
    search = GridSearchCV(pipeline, {"ridge__alpha": STRENGTHS}, cv=folds, scoring=scoring)
    with threadpool_limits(1):  # many small fits: threads would spend their time waiting for each other
        return search.fit(features, targets, groups=models).predict(test)


def score(observations: pd.DataFrame) -> dict[str, Estimate]:
    """R² and Kendall's τ-b of the properties that are numbers, accuracy of those that are classes; and of skills, see
    `_of_skills`.

    τ compares pairs of checkpoints, so it is not a function of sums over models.
    """
    scores = {}
    for (name, kind), rows in observations.groupby(["property", "kind"], sort=False):
        if kind == "number":
            truth, predicted = rows["truth"].to_numpy(float), rows["predicted"].to_numpy(float)
            of_sums = Estimate.r2(rows["model"], rows["truth"], rows["predicted"])
            scores[f"r2:{name}"] = of_sums.exactly(r_squared(truth, predicted))
            scores[f"tau:{name}"] = Estimate.constant(kendall_tau(truth, predicted))
        else:
            right = rows["true_class"] == rows["predicted_class"]
            scores[f"accuracy:{name}"] = Estimate.mean(rows["model"], right.astype(float)).exactly(float(right.mean()))
    for prefix in ("", BOOSTED):
        names = observations["property"].unique()
        if skills := [name for name in names if name.startswith(prefix) and skills_among([name.removeprefix(prefix)])]:
            scores |= _of_skills(observations[observations["property"].isin(skills)], prefix + SKILLS)
    return scores


def _of_skills(rows: pd.DataFrame, together: str) -> dict[str, Estimate]:
    """Accuracy of skills, as whether they are learned: more than `LEARNED`; and R² and accuracy of all `together`.

    R² of all is that of errors and spreads within skills, summed over them: which skill it is explains nothing, and one
    that hardly varies hardly counts.
    """
    rows = rows.reset_index(drop=True)
    truth, predicted = rows["truth"].astype(float), rows["predicted"].astype(float)
    right = ((truth > LEARNED) == (predicted > LEARNED)).astype(float)
    scores = {
        f"r2:{together}": Estimate.within(rows["model"], rows["property"], truth, predicted),
        f"accuracy:{together}": Estimate.mean(rows["model"], right),
    }
    for name, own in right.groupby(rows["property"], sort=False):
        scores[f"accuracy:{name}"] = Estimate.mean(rows["model"][own.index], own)
    return scores


def r_squared(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; NaN if the truth does not vary."""
    spread = np.sum((truth - truth.mean()) ** 2)
    return float(1 - np.sum((truth - predicted) ** 2) / spread) if spread > 0 else float("nan")


def kendall_tau(truth: Array, predicted: Array) -> float:
    """Kendall's rank correlation τ-b."""
    from scipy.stats import kendalltau

    return float(kendalltau(truth, predicted).statistic)
