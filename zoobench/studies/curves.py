"""Scores against the number of datasets, and against the number of models, in and out of distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.evaluation.results import Results
from zoobench.evaluation.statistics import FitScores, effect
from zoobench.studies.effects import Relations, Shape, kind_of, levels_of, shapes_of
from zoobench.studies.study import Study

POINTS = ["over", "task", "metric", "method", "budget", "relation", "line", "x", "targets", "mean", "low", "high"]


def curves_over(
    study: Study, results: Results, relations: Relations, over: Literal["datasets", "models"]
) -> pd.DataFrame:
    """One row per task, method that the study names, budget, relation, line and x: mean over compositions and targets,
    and its 95 % interval.

    over datasets: x is their number; lines hold compositions with as many models in all, and as many of each zoo. over
    models: x is their number in all; a line holds compositions of as many datasets. All points of a line are over the
    same targets. Baselines that learn from no composition have one row per relation, with x NaN.
    """
    rows = []
    for task in results.plan.tasks:
        drawn = set()
        for method in study.methods:
            shapes = shapes_of(study, results, method)
            for (budget, relation, line), points in _points(
                results, relations, shapes, over, method, task.name
            ).items():
                common = set.intersection(*(set(of_x) for of_x in points.values()))
                if len(points) > 1 and common:
                    place = (over, task.name, task.primary, method, budget, relation, f"{method}, {line}")
                    for x, of_x in sorted(points.items()):
                        rows.append((*place, x, len(common), *_mean([of_x[each] for each in sorted(common)])))
                    drawn.add(relation)
        for method, of_target in _baselines(results, task.name).items():
            for relation in sorted(drawn):
                place = (over, task.name, task.primary, method, "", relation, method)
                rows.append((*place, float("nan"), len(of_target), *_mean(of_target)))
    return pd.DataFrame(rows, columns=POINTS)


def _points(
    results: Results, relations: Relations, shapes: Mapping[str, Shape], over: str, method: str, task: str
) -> dict[tuple[str, str, str], dict[float, dict[str, list[FitScores]]]]:
    """FitScores by budget, relation and line; then by x and target."""
    lines: dict[tuple[str, str, str], dict[float, dict[str, list[FitScores]]]] = {}
    for (composition, *of, target), scores in results.scores.items():
        relation = kind_of(relations[composition, target]) if of == [method, task] and composition in shapes else None
        if relation is not None:
            for line, x in _places(composition, shapes, over):
                points = lines.setdefault((shapes[composition].budget, relation, line), {})
                points.setdefault(x, {}).setdefault(target, []).append(scores)
    return lines


def _places(composition: str, shapes: Mapping[str, Shape], over: str) -> list[tuple[str, float]]:
    """The lines that a composition is on, and its x there."""
    of = shapes[composition]
    in_all = levels_of([shape.models for shape in shapes.values()])[of.models]
    if over == "models":
        return [(f"{len(of.datasets)} dataset{'s' if len(of.datasets) > 1 else ''}", in_all)]
    each = levels_of([shape.each for shape in shapes.values()])[of.each]
    return [(f"{in_all:g} models in all", len(of.datasets)), (f"{each:g} models of each", len(of.datasets))]


def _baselines(results: Results, task: str) -> dict[str, list[list[FitScores]]]:
    """The scores of baselines that learn from no composition, one list per target."""
    found: dict[str, list[list[FitScores]]] = {}
    for (composition, method, of, _), scores in results.scores.items():
        if composition == NO_COMPOSITION and of == task:
            found.setdefault(method, []).append([scores])
    return found


def _mean(targets: Sequence[Sequence[FitScores]]) -> tuple[float, float, float]:
    """Mean over targets of means over scores, and the bounds of its interval."""
    found = effect((1 / len(targets) / len(scores), each) for scores in targets for each in scores)
    bounds = found.interval()
    return found.value, bounds.low, bounds.high
