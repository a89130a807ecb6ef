"""What a study measured, as tidy tables: scores, and their means over seeds with uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from zoobench.evaluation.statistics import Interval, interval
from zoobench.studies.bench import Bench
from zoobench.studies.names import NO_COMPOSITION
from zoobench.studies.plan import Plan
from zoobench.studies.sources import Source, relation
from zoobench.tasks.estimates import Sums

Place = tuple[str, str, str, str]
"""Composition, method, task, target."""

KEYS = ["composition", "method", "task", "target", "relation", "metric"]


@dataclass
class Results:
    """What was measured, by place and seed: values by metric, and the sums over models of those that have them.

    relations: of compositions and targets.
    """

    relations: Mapping[tuple[str, str], str]
    scores: dict[Place, dict[int, dict[str, float]]] = field(default_factory=dict)
    sums: dict[Place, dict[int, dict[str, Sums]]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, bench: Bench, sources: Mapping[str, Source]) -> Results:
        """What is there of a plan's cells; those that failed, or cannot be, are left out."""
        relations = {
            (name, target): relation(target, composition.zoos, sources)
            for name, composition in plan.study.all_compositions().items()
            for target in plan.study.all_targets()
        }
        results = cls(relations)
        for cell in plan.cells:
            if len(observed := bench.observations(cell)):
                task = bench.task(cell.task)
                place = (cell.composition, cell.fit.method, cell.task, cell.target)
                results.scores.setdefault(place, {})[cell.fit.seed] = task.score(observed)
                results.sums.setdefault(place, {})[cell.fit.seed] = task.sums(observed)
        return results

    def sums_of(self, place: Place, metric: str, seed: int) -> Sums:
        """A metric's sums over models; of one that has none, a sum that leaves its value as it is."""
        found = self.sums[place][seed].get(metric)
        return Sums.constant(self.scores[place][seed][metric]) if found is None else found

    def measurements(self) -> pd.DataFrame:
        """One row a measurement."""
        rows = [
            (*place, self._relation(place), metric, seed, value)
            for place, seeds in self.scores.items()
            for seed, metrics in seeds.items()
            for metric, value in metrics.items()
        ]
        return pd.DataFrame(rows, columns=[*KEYS, "seed", "value"])

    def summary(self) -> pd.DataFrame:
        """Mean and standard deviation (Bessel's) over seeds, and bounds `low` and `high` by a bootstrap over seeds and,
        where a metric is one over models, models."""
        averaged = self.measurements().groupby(KEYS, sort=False)["value"].agg(mean="mean", std="std", seeds="count")
        table = averaged.reset_index()
        rows = table[["composition", "method", "task", "target", "metric"]].itertuples(index=False)
        bounds = [
            self._interval((composition, method, task, target), metric)
            for composition, method, task, target, metric in rows
        ]
        return table.assign(low=[each.low for each in bounds], high=[each.high for each in bounds])

    def _interval(self, place: Place, metric: str) -> Interval:
        seeds = [seed for seed, values in self.scores[place].items() if metric in values]
        return interval([self.sums_of(place, metric, seed) for seed in seeds])

    def _relation(self, place: Place) -> str:
        composition, _, _, target = place
        return NO_COMPOSITION if composition == NO_COMPOSITION else self.relations[composition, target]
