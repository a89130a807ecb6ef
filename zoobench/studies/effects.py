"""What a study says: the effect of more models, of further datasets and architectures, and of learning at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.errors import InputError
from zoo_generation.text import words
from zoobench.evaluation.plan import NO_COMPOSITION, TrainingSet
from zoobench.evaluation.results import Results
from zoobench.evaluation.statistics import Effect, FitScores, effect, holm, verdict
from zoobench.evaluation.trainings import counts_of
from zoobench.methods.registry import get_method
from zoobench.studies.relations import ID
from zoobench.studies.study import Study

OOD = "OOD"
PLACES = {ID: "in distribution (ID)", OOD: "out of distribution (OOD)"}
NEAR = 1.1
"""Numbers of models that are at most so many times the smallest among them count as equal: 55 and 56 do."""

BASELINES = ("weight_density", "anchors")
"""Baselines that read the target's own models; what is learned has to beat them."""

TESTED = ["targets", "compositions", "effect", "low", "high", "p", "holm", "could_see", "verdict", "sentence"]
EFFECTS = ["task", "metric", "method", "budget", "relation", "factor", *TESTED]
AGAINST = ["task", "metric", "method", "budget", "composition", "relation", "baseline", *TESTED]
Relations = Mapping[tuple[str, str], str]
"""The relation of a target to a composition, by their names."""


@dataclass(frozen=True)
class Shape:
    """What a composition is made of. models: training models in all; rest: its checkpoints and methods' settings."""

    budget: str
    zoos: frozenset[str]
    datasets: frozenset[str]
    architectures: frozenset[tuple[str, float]]
    models: int
    rest: str

    @property
    def each(self) -> float:
        """Training models per population."""
        return self.models / len(self.zoos)


@dataclass(frozen=True)
class Factor:
    """What changes between compositions, as a number, and what stays the same."""

    name: str
    changes: Callable[[Shape], float]
    stays: Callable[[Shape], tuple[object, ...]]
    level: Callable[[Shape], float] | None = None
    """A number that stays about the same."""


FACTORS = (
    Factor("each doubling of models", lambda it: float(np.log2(it.models)), lambda it: (it.zoos,)),
    *(
        Factor(f"each further {what}, as many models {how}", changes, stays, level)
        for what, changes, stays in (
            ("dataset", lambda it: len(it.datasets), lambda it: (it.architectures,)),
            ("architecture", lambda it: len(it.architectures), lambda it: (it.datasets,)),
        )
        for how, level in (("in all", lambda it: it.models), ("of each", lambda it: it.each))
    ),
)


def effects(study: Study, results: Results, relations: Relations) -> pd.DataFrame:
    """One row per task, method that the study names, budget, relation and factor.

    effect: change of the task's primary metric, the mean over targets of slopes between compositions that differ in the
    factor only; low, high: 95 % interval; p, holm: of no effect, and corrected for the number of effects; could_see:
    the smallest true effect that is found with 80 % power at the corrected level; targets, compositions: how many it is
    from. OOD is over compositions without the target's dataset.
    """
    rows = []
    for metric, method, budget, shapes in _fitted(study, results):
        for relation in PLACES:
            measured = _measured(results, relations, shapes, method, metric[0], relation)
            for factor in FACTORS:
                weights = [(target, slope(factor, shapes, of)) for target, of in measured.items()]
                weights = [(target, slopes) for target, slopes in weights if slopes]
                terms = [
                    (weight / len(weights), measured[target][name])
                    for target, slopes in weights
                    for name, weight in slopes.items()
                ]
                if terms:
                    named = {name for _, slopes in weights for name in slopes}
                    place = (*metric, method, budget, relation, factor.name)
                    rows.append((*place, len(weights), len(named), effect(terms)))
    return _tested(
        rows,
        EFFECTS,
        lambda row: (
            f"{row.factor.capitalize()}{',' if ',' in row.factor else ''} changes {_metric(row)} {PLACES[row.relation]}"
        ),
    )


def against_baselines(study: Study, results: Results, relations: Relations) -> pd.DataFrame:
    """One row per task, method that learns and that the study names, composition, relation and baseline of `BASELINES`:
    how much better the method is, as the mean over the targets that both have; columns as of `effects`, corrected by
    themselves."""
    rows = []
    for metric, method, budget, shapes in _fitted(study, results):
        for baseline in BASELINES if get_method(method).learns else ():
            for relation in PLACES:
                measured = _measured(results, relations, shapes, method, metric[0], relation)
                for name in shapes:
                    pairs = [
                        (of[name], other)
                        for target, of in measured.items()
                        if name in of and (other := _baseline(results, name, baseline, metric[0], target)) is not None
                    ]
                    terms = [
                        (sign / len(pairs), each) for pair in pairs for sign, each in zip((1, -1), pair, strict=True)
                    ]
                    if terms:
                        place = (*metric, method, budget, name, relation, baseline)
                        rows.append((*place, len(pairs), 1, effect(terms)))
    return _tested(
        rows,
        AGAINST,
        lambda row: (
            f"{row.method} trained on {row.composition} differs from {row.baseline} in {_metric(row)} "
            f"{PLACES[row.relation]}"
        ),
    )


def shapes_of(study: Study, results: Results, method: str) -> dict[str, Shape]:
    """What each composition that a method was measured with is made of, by name. Budgets are of methods that learn: of
    another, which is measured once for all of them, the compositions of the first, as under none."""
    learns, first = get_method(method).learns, next(iter(study.budgets), "")
    trainings = {
        cell.composition: (cell.sources, repr(cell.fit.config))
        for cell in results.plan.cells
        if cell.sources is not None and cell.fit.method.name == method
        if learns or study.budget_of(cell.composition) == first
    }
    shapes = {}
    for name, (training, config) in trainings.items():
        if models := _models(results, training):
            kinds = [origin.kind for origin in training.origins]
            shapes[name] = Shape(
                study.budget_of(name) if learns else "",
                frozenset(origin.name for origin in training.origins),
                frozenset(kind.dataset for kind in kinds),
                frozenset(kind.shape for kind in kinds),
                models,
                repr((training.checkpoint_epochs, config)),
            )
    return shapes


def kind_of(relation: str) -> str | None:
    """ID, OOD if the composition has not the target's dataset, and None for other models of that dataset."""
    return ID if relation == ID else OOD if relation in {"OOD dataset", "OOD both"} else None


def slope(factor: Factor, shapes: Mapping[str, Shape], measured: Mapping[str, FitScores]) -> dict[str, float]:
    """The weight of each composition in the slope of scores on a factor, each group of equals with its own intercept.

    Compositions without a part in it are left out; empty if no group varies.
    """
    groups: dict[object, list[str]] = {}
    levels = levels_of([factor.level(shapes[name]) for name in measured]) if factor.level else {}
    for name in measured:
        level = levels[factor.level(shapes[name])] if factor.level else None
        groups.setdefault((*factor.stays(shapes[name]), shapes[name].rest, level), []).append(name)
    centred: dict[str, float] = {}
    for names in groups.values():
        given = np.array([factor.changes(shapes[name]) for name in names])
        centred |= dict(zip(names, given - given.mean(), strict=True))
    centred = {name: each for name, each in centred.items() if abs(each) > 1e-9}
    square = sum(each**2 for each in centred.values())
    return {name: float(each / square) for name, each in centred.items()}


def levels_of(numbers: Sequence[float]) -> dict[float, float]:
    """Each number's level: the smallest of those that count as equal to it.

    >>> levels_of([56, 55, 112])
    {55: 55, 56: 55, 112: 112}
    """
    levels: dict[float, float] = {}
    level = 0.0
    for number in sorted(set(numbers)):
        level = level if levels and number <= level * NEAR else number
        levels[number] = level
    return levels


def points(metric: str) -> tuple[float, str]:
    """The factor by which a metric is shown, and its unit: accuracies are shown in percentage points."""
    return (1.0, "") if metric.startswith(("r2", "tau")) else (100.0, " points")


def _fitted(study: Study, results: Results) -> Iterator[tuple[tuple[str, str], str, str, dict[str, Shape]]]:
    """Task and metric, method, budget, and the compositions of that budget, of what the study names."""
    for method in study.methods:
        shapes = shapes_of(study, results, method)
        for task in results.plan.tasks:
            for budget in dict.fromkeys(shape.budget for shape in shapes.values()):
                of_budget = {name: shape for name, shape in shapes.items() if shape.budget == budget}
                yield (task.name, task.primary), method, budget, of_budget


def _measured(
    results: Results, relations: Relations, shapes: Mapping[str, Shape], method: str, task: str, relation: str
) -> dict[str, dict[str, FitScores]]:
    """The scores by target and composition, of compositions with a relation to the target."""
    found: dict[str, dict[str, FitScores]] = {}
    for (composition, *of, target), scores in results.scores.items():
        if of == [method, task] and composition in shapes and kind_of(relations[composition, target]) == relation:
            found.setdefault(target, {})[composition] = scores
    return found


def _baseline(results: Results, composition: str, baseline: str, task: str, target: str) -> FitScores | None:
    """A baseline's scores with a composition, or without any."""
    given = results.scores.get((composition, baseline, task, target))
    return given or results.scores.get((NO_COMPOSITION, baseline, task, target))


def _models(results: Results, training: TrainingSet) -> int:
    """Number of training models. 0 if its zoos were not built."""
    try:
        return counts_of(results.cells.training(training))[0]
    except InputError:
        return 0


def _tested(rows: Sequence[tuple[Any, ...]], columns: list[str], what: Callable[[Any], str]) -> pd.DataFrame:
    """The table of effects, which end the rows, corrected for their number."""
    found: list[Effect] = [row[-1] for row in rows]
    p = np.array([each.p() for each in found])
    corrected, tests = holm(p), int(np.isfinite(p).sum())
    complete: list[NDArray[Any] | tuple[Any, ...]] = []
    for row, each, known, right in zip(rows, found, p, corrected, strict=True):
        bounds, seen = each.interval(), each.could_see(max(tests, 1))
        said = verdict(each.value, right)
        complete.append((*row[:-1], each.value, bounds.low, bounds.high, known, right, seen, said, ""))
    table = pd.DataFrame(complete, columns=columns)
    return table.assign(sentence=pd.Series([_sentence(what(row), row) for row in table.itertuples()], dtype=object))


def _metric(row: Any) -> str:
    return f"{words(row.task)} ({words(row.metric)})"


def _sentence(start: str, row: Any) -> str:
    budget = f", with {row.budget}," if row.budget else ""
    scale, unit = points(row.metric)
    places = 1 if scale > 1 else 3
    value, low, high, seen = (f"{each * scale:+.{places}f}" for each in (row.effect, row.low, row.high, row.could_see))
    if np.isnan(row.p):
        return f"{start}{budget} by {value}{unit} (measured once, without an interval)."
    told = "not told apart from none" if row.verdict == "not distinguishable" else f"{row.verdict}, corrected"
    bounds = f"95 % {low} to {high}; {told}; the study would have seen {seen.removeprefix('+')}"
    return f"{start}{budget} by {value}{unit} ({bounds})."
