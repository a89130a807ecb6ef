"""Paired comparisons between compositions, and a plain sentence for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from zoo_generation.text import words
from zoobench.evaluation.results import Results
from zoobench.evaluation.statistics import effect, holm, verdict
from zoobench.studies.relations import ID, MEAN
from zoobench.studies.study import Comparison, Study
from zoobench.tasks.base import Task

WORDS = {"better": "is better than", "worse": "is worse than", "not distinguishable": "cannot be told from"}


@dataclass(frozen=True)
class Contrast:
    """The difference of a composition to another in a task's primary metric, on a target or on the mean over
    several."""

    question: str
    task: str
    metric: str
    method: str
    composition: str
    against: str
    targets: str
    difference: float
    low: float
    high: float
    p: float


Relations = Mapping[tuple[str, str], str]
"""The relation of a target to a composition, by their names."""


def compare(study: Study, results: Results, relations: Relations) -> pd.DataFrame:
    """One row per contrast: for every method that learns, every task, every target, and the means over the targets that
    are in distribution of both compositions, of one of them, of neither, and over all targets.

    holm: p corrected for the number of comparisons of the question; verdict: whether it is below 0.05.
    """
    targets = list(dict.fromkeys(cell.target.name for cell in results.plan.cells))
    contrasts = [
        contrast
        for comparison in study.all_comparisons()
        for against in comparison.against
        for task in study.all_tasks()
        for method in study.all_methods()
        if method.learns
        for contrast in _contrasts(comparison, against, task, method.name, targets, results, relations)
    ]
    table = pd.DataFrame([asdict(each) for each in contrasts], columns=list(Contrast.__dataclass_fields__))
    table = table.assign(holm=table.groupby("question")["p"].transform(holm).astype(float))
    verdicts = [verdict(*each) for each in table[["difference", "holm"]].itertuples(index=False)]
    table = table.assign(verdict=pd.Series(verdicts, table.index, dtype=object))
    return table.assign(sentence=pd.Series(map(_sentence, table.itertuples()), table.index, dtype=object))


def _sentence(row: Any) -> str:
    bounds = f"95 % from {row.low:+.3f} to {row.high:+.3f}"
    known = bounds if np.isfinite([row.low, row.high]).all() else "measured once, without an interval"
    return (
        f"{words(row.task)} on {row.targets}, {row.method}: {row.composition} {WORDS[row.verdict]} "
        f"{row.against} ({row.metric} {row.difference:+.3f}, {known})"
    )


def _contrasts(
    comparison: Comparison,
    against: str,
    task: Task,
    method: str,
    targets: Sequence[str],
    results: Results,
    relations: Relations,
) -> Iterator[Contrast]:
    names = (comparison.composition, against)
    places = {target: [(name, method, task.name, target) for name in names] for target in targets}
    measured = {target: of for target, of in places.items() if all(place in results.scores for place in of)}
    groups = {target: [target] for target in measured} | _groups(names, list(measured), relations)
    for name, chosen in groups.items():
        terms = [
            (sign / len(chosen), results.scores[place])
            for target in chosen
            for sign, place in zip((1, -1), measured[target], strict=True)
        ]
        found = effect(terms)
        bounds = found.interval()
        of = (comparison.question, task.name, task.primary, method, *names, name)
        yield Contrast(*of, found.value, bounds.low, bounds.high, found.p())


def _groups(compositions: tuple[str, str], targets: Sequence[str], relations: Relations) -> dict[str, list[str]]:
    """Targets by their relation to both compositions, if there are several."""
    inside = {target: tuple(relations[name, target] == ID for name in compositions) for target in targets}
    kinds = {
        f"{MEAN}ID": (True, True),
        f"{MEAN}OOD": (False, False),
        f"{MEAN}ID of {compositions[0]} only": (True, False),
        f"{MEAN}ID of {compositions[1]} only": (False, True),
    }
    groups = {name: [target for target in targets if inside[target] == kind] for name, kind in kinds.items()}
    if list(targets) not in groups.values():
        groups[f"{MEAN}all"] = list(targets)
    return {name: chosen for name, chosen in groups.items() if len(chosen) > 1}
