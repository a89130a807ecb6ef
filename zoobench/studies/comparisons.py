"""Paired comparisons between compositions, and a plain sentence for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from zoobench.evaluation.results import Results
from zoobench.evaluation.statistics import Verdict, difference
from zoobench.studies.relations import ID, MEAN
from zoobench.studies.study import Comparison, Study
from zoobench.tasks.base import Task
from zoobench.tasks.estimates import Estimate

WORDS = {"better": "is better than", "worse": "is worse than", "not distinguishable": "cannot be told from"}
Pair = tuple[Sequence[Estimate], Sequence[Estimate]]
"""Estimates of a composition and of the one that it is compared with, one per seed."""


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
    verdict: Verdict

    @property
    def sentence(self) -> str:
        bounds = f"95 % from {self.low:+.3f} to {self.high:+.3f}"
        known = bounds if np.isfinite([self.low, self.high]).all() else "measured once, without an interval"
        return (
            f"{self.task.replace('_', ' ')} on {self.targets}, {self.method}: {self.composition} {WORDS[self.verdict]} "
            f"{self.against} ({self.metric} {self.difference:+.3f}, {known})"
        )


Relations = Mapping[tuple[str, str], str]
"""The relation of a target to a composition, by their names."""


def compare(study: Study, results: Results, relations: Relations) -> pd.DataFrame:
    """One row per contrast: for every method that learns, every task, every target, and the means over the targets that
    are in distribution of both compositions, of one of them, of neither, and over all targets."""
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
    columns = [*Contrast.__dataclass_fields__, "sentence"]
    return pd.DataFrame([asdict(each) | {"sentence": each.sentence} for each in contrasts], columns=columns)


def _contrasts(
    comparison: Comparison,
    against: str,
    task: Task,
    method: str,
    targets: Sequence[str],
    results: Results,
    relations: Relations,
) -> Iterator[Contrast]:
    measured = {
        target: pair
        for target in targets
        if (pair := _pair((comparison.composition, against), method, task, target, results)) is not None
    }
    names = (comparison.composition, against)
    groups = {target: [target] for target in measured} | _groups(names, list(measured), relations)
    for name, chosen in groups.items():
        pairs = {target: measured[target] for target in chosen}
        bounds = difference(pairs)
        mean = float(np.mean([_mean(first) - _mean(second) for first, second in pairs.values()]))
        of = (comparison.question, task.name, task.primary, method, comparison.composition, against)
        yield Contrast(*of, name, mean, bounds.low, bounds.high, bounds.verdict())


def _pair(compositions: tuple[str, str], method: str, task: Task, target: str, results: Results) -> Pair | None:
    """The estimates of both under their common seeds. None if there are none."""
    places = [(composition, method, task.name, target) for composition in compositions]
    seeds = [results.estimates.get(place, {}) for place in places]
    common = [seed for seed in seeds[0] if task.primary in seeds[0][seed] and task.primary in seeds[1].get(seed, {})]
    first, second = ([of_place[seed][task.primary] for seed in common] for of_place in seeds)
    return (first, second) if common else None


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


def _mean(seeds: Sequence[Estimate]) -> float:
    return float(np.mean([estimate.value() for estimate in seeds]))
