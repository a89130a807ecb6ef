"""Paired comparisons between compositions, and the plain sentence that each allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from zoobench.evaluation.statistics import Verdict, difference
from zoobench.studies.names import ID, MEAN
from zoobench.studies.results import Results
from zoobench.studies.study import Comparison, Study
from zoobench.tasks.base import Task
from zoobench.tasks.estimates import Sums

WORDS = {"better": "is better than", "worse": "is worse than", "not distinguishable": "cannot be told from"}
Pair = tuple[Sequence[Sums], Sequence[Sums]]
"""Of a composition and the one that it is compared with, one a seed."""


@dataclass(frozen=True)
class Answer:
    """How a composition differs from another, by a task's primary metric, on a target or on the mean over several."""

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


def compare(study: Study, results: Results) -> pd.DataFrame:
    """One row an answer: of every method that learns, by every task, on every target, and on the mean over those that
    are in distribution of both compositions, of one of them, of neither, and over all."""
    answers = [
        answer
        for comparison in study.comparisons
        for against in comparison.against
        for task in study.all_tasks()
        for method in study.all_methods()
        if method.learns
        for answer in _answers(comparison, against, task, method.name, study.all_targets(), results)
    ]
    columns = [*Answer.__dataclass_fields__, "sentence"]
    return pd.DataFrame([asdict(answer) | {"sentence": answer.sentence} for answer in answers], columns=columns)


def _answers(
    comparison: Comparison, against: str, task: Task, method: str, targets: Sequence[str], results: Results
) -> Iterator[Answer]:
    measured = {
        target: pair
        for target in targets
        if (pair := _pair((comparison.composition, against), method, task, target, results)) is not None
    }
    names = (comparison.composition, against)
    groups = {target: [target] for target in measured} | _groups(names, list(measured), results)
    for name, chosen in groups.items():
        pairs = {target: measured[target] for target in chosen}
        bounds = difference(pairs)
        mean = float(np.mean([_mean(first) - _mean(second) for first, second in pairs.values()]))
        of = (comparison.question, task.name, task.primary, method, comparison.composition, against)
        yield Answer(*of, name, mean, bounds.low, bounds.high, bounds.verdict())


def _pair(compositions: tuple[str, str], method: str, task: Task, target: str, results: Results) -> Pair | None:
    """The sums of both under the seeds that both have; none where there are none."""
    places = [(composition, method, task.name, target) for composition in compositions]
    seeds = [results.scores.get(place, {}) for place in places]
    common = [seed for seed in seeds[0] if task.primary in seeds[0][seed] and task.primary in seeds[1].get(seed, {})]
    first, second = ([results.sums_of(place, task.primary, seed) for seed in common] for place in places)
    return (first, second) if common else None


def _groups(compositions: tuple[str, str], targets: Sequence[str], results: Results) -> dict[str, list[str]]:
    """Targets by what they are to both compositions, where there are several."""
    inside = {target: tuple(results.relations[name, target] == ID for name in compositions) for target in targets}
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


def _mean(seeds: Sequence[Sums]) -> float:
    return float(np.mean([sums.value() for sums in seeds]))
