"""The results of a plan: tidy tables, means over seeds with intervals, ranks, a figure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.text import score, words
from zoobench import __version__
from zoobench.display import figures
from zoobench.evaluation.cells import Cells
from zoobench.evaluation.frontier import METRICS, above_noise, points_of
from zoobench.evaluation.plan import NO_COMPOSITION, Cell, Plan
from zoobench.evaluation.statistics import FitScores, Interval, interval
from zoobench.tasks.answers import Answer
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.property_prediction import PropertyPrediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Place = tuple[str, str, str, str]
"""Names of training set, method, task, target."""

PLAN = "plan.json"
POOLED = ["composition", "method", "dataset", "targets"]
PLACE = ["composition", "method", "task", "target"]


def place_of(cell: Cell) -> Place:
    """The place of a cell in tables."""
    return cell.composition, cell.fit.method.name, cell.task.name, cell.target.name


@dataclass(frozen=True, eq=False)
class Results:
    """The existing results of a plan. Cells that failed, or that are not possible, are left out.

    failures: the reason for each failed piece, by its name.
    """

    plan: Plan
    cells: Cells
    failures: Mapping[str, str]

    @cached_property
    def estimates(self) -> dict[Place, dict[int, Mapping[str, Estimate]]]:
        """What each task scored, by place and seed, and by metric."""
        found: dict[Place, dict[int, Mapping[str, Estimate]]] = {}
        for cell in self.plan.cells:
            if len(observed := self.cells.observations(cell)):
                found.setdefault(place_of(cell), {})[cell.fit.seed] = cell.task.score(observed)
        return found

    @cached_property
    def scores(self) -> dict[Place, FitScores]:
        """What is compared: each task's primary metric, by place, under the seeds that all targets of a fit have."""
        primary = {task.name: task.primary for task in self.plan.tasks}
        found: dict[Place, dict[int, Estimate]] = {}
        common: dict[tuple[str, str, str], set[int]] = {}
        for (*fit, task, target), seeds in self.estimates.items():
            known = {seed: metrics[primary[task]] for seed, metrics in seeds.items() if primary[task] in metrics}
            if known := {seed: each for seed, each in known.items() if np.isfinite(each.value())}:
                found[fit[0], fit[1], task, target] = known
                common.setdefault((fit[0], fit[1], task), set(known)).intersection_update(known)
        return {
            place: FitScores.of(place[:2], place[3], [known[seed] for seed in sorted(common[place[:3]])])
            for place, known in found.items()
            if common[place[:3]]
        }

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row per measurement.

        Columns: composition (the training set's name, – for methods that learn nothing), method, task, target, metric,
        seed, value; task_version, method_version and zoobench: the versions that measured it.
        """
        cells = {place_of(cell): cell for cell in self.plan.cells}
        versions = {place: (cell.task.version, cell.fit.method.version) for place, cell in cells.items()}
        rows = [
            (*place, metric, seed, estimate.value(), *versions[place], __version__)
            for place, seeds in self.estimates.items()
            for seed, metrics in seeds.items()
            for metric, estimate in metrics.items()
        ]
        of_versions = ["task_version", "method_version", "zoobench"]
        return pd.DataFrame(rows, columns=[*PLACE, "metric", "seed", "value", *of_versions])

    def summary(self) -> pd.DataFrame:
        """One row per place and metric: over seeds mean, std (Bessel's, NaN for one seed) and seeds; low and high are
        the bounds of a 95 % interval from a bootstrap over seeds and, for metrics over models, over models."""
        values = self.measurements.groupby([*PLACE, "metric"], sort=False)["value"]
        table = values.agg(mean="mean", std="std", seeds="count").reset_index()
        bounds = [self._interval(*row) for row in table[[*PLACE, "metric"]].itertuples(index=False)]
        return table.assign(low=[each.low for each in bounds], high=[each.high for each in bounds])

    def pooled(self) -> pd.DataFrame:
        """Scores over the test models of several populations together, as papers give them for zoos of many
        architectures: one row per training set, method, dataset, seed and metric.

        Of `property_transfer`, where one reader is fitted to all populations, on the targets of one dataset that it
        was fitted to. A method that could not be asked about one of them is left out. Columns: composition, method,
        dataset, targets (how many), seed, metric, value.
        """
        observed: dict[tuple[str, str], dict[tuple[str, int], dict[str, pd.DataFrame]]] = {}
        tasks = [task for task in self.plan.tasks if isinstance(task, PropertyPrediction) and task.uses_sources]
        for cell in (cell for cell in self.plan.cells if cell.task in tasks):
            fitted_to = () if cell.sources is None else cell.sources.origins
            if cell.target in fitted_to and len(rows := self.cells.observations(cell)):
                asked = observed.setdefault((cell.composition, cell.target.kind.dataset), {})
                asked.setdefault((cell.fit.method.name, cell.fit.seed), {})[cell.target.name] = rows
        found = []
        for (composition, dataset), asked in observed.items():
            targets = {target for parts in asked.values() for target in parts}
            whole = {who: parts for who, parts in asked.items() if parts.keys() == targets and len(targets) > 1}
            for (method, seed), parts in whole.items():
                scores = tasks[0].score(pd.concat(parts.values(), ignore_index=True))
                place = (composition, method, dataset, len(targets), seed)
                found += [(*place, metric, estimate.value()) for metric, estimate in scores.items()]
        return pd.DataFrame(found, columns=[*POOLED, "seed", "metric", "value"])

    def standings(self) -> pd.DataFrame:
        """Methods ranked by their mean of each task's primary metric over targets: one row per task, method and target,
        best first.

        A method fitted to several training sets is ranked once for each, as `sane.all`. Columns: task, metric, rank,
        method, average (over targets, NaN if one is missing), target, and over seeds mean, std, seeds.
        """
        ranked = [_ranked(rows) for _, rows in self._primary().groupby("task", sort=False)]
        columns = ["task", "metric", "rank", "method", "average", "target", "mean", "std", "seeds"]
        return pd.concat(ranked, ignore_index=True)[columns] if ranked else pd.DataFrame(columns=columns)

    @property
    def answers(self) -> dict[tuple[str, int], Answer]:
        """The answers of one method for one task, by target and seed, without cells that failed or are not possible."""
        found = {(cell.target.name, cell.fit.seed): self.cells.answer(cell) for cell in self.plan.cells}
        return {place: answer for place, answer in found.items() if answer is not None}

    @property
    def seconds(self) -> float:
        """Seconds that all existing pieces took to fit and measure, each by itself."""
        return self.cells.seconds(self.plan.fits, self.plan.cells)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row per place and seed: what it took, and what the method was allowed to see.

        Columns: those of `measurements` up to target, seed; access, in words; runs_models; parameters, missing if the
        method learns nothing; fit_core_seconds and asked_core_seconds, CPU time inside the method; models, how many it
        was asked about or made; core_seconds_per_model. Time on a GPU, and in other processes, is not in it.
        """
        rows = []
        for cell in self.plan.cells:
            cost = self.cells.cost(cell)
            method, parameters = cell.fit.method, self.cells.parameters(cell.fit)
            seen = (method.access.words, method.runs_models)
            per_model = cost["asked_core_seconds"] / cost["models"] if cost["models"] else float("nan")
            rows.append((*place_of(cell), cell.fit.seed, *seen, parameters, *cost.values(), per_model))
        of_cost = ["fit_core_seconds", "asked_core_seconds", "models", "core_seconds_per_model"]
        table = pd.DataFrame(rows, columns=[*PLACE, "seed", "access", "runs_models", "parameters", *of_cost])
        return table.astype({"parameters": "Int64"} | dict.fromkeys(of_cost, float))

    def figure(self) -> Figure:
        """Means of each task's primary metric with 95 % intervals: one panel per task and target, the
        methods by their mean rank, best first."""
        ranks = self.standings().groupby("method")["rank"].mean()
        table = self._primary().sort_values("method", key=lambda names: names.map(ranks), kind="stable")
        titles = table["task"].map(words) + ", " + table["metric"].map(words) + "\n" + table["target"]
        return figures.dots(table.assign(panel=titles, name=table["method"]))

    @cached_property
    def above_noise(self) -> pd.DataFrame:
        """Generated models beside noise around anchors that is as new; see `frontier.above_noise`."""
        return above_noise(self.measurements)

    def frontier(self) -> Figure | None:
        """Accuracy of generated models against their novelty: one panel per target, one point per method; names that
        differ by a number, such as `noise_10` and `noise_20`, are joined. None if nothing was generated."""
        points = points_of(self.measurements)
        if points.empty:
            return None
        columns = {"target": "panel", "method": "name", METRICS[0]: "x", METRICS[1]: "y"}
        return figures.frontier(points.rename(columns=columns), words(METRICS[0]), words(METRICS[1]))

    def save(self, path: str | Path) -> None:
        """Write measurements.parquet, summary.csv, standings.csv, costs.csv, scores.png and plan.json into a folder,
        pooled.csv if there are such scores, and frontier.csv and frontier.png if models were generated.

        plan.json names the cells under `runs/`. Files of an earlier call are replaced. Raises `InputError` if the
        folder holds anything else.
        """
        with directory_written_aside(Path(path)) as aside:
            write_json(aside / PLAN, self._measured())
            self.measurements.to_parquet(aside / "measurements.parquet", index=False)
            self.summary().to_csv(aside / "summary.csv", index=False)
            self.standings().to_csv(aside / "standings.csv", index=False)
            self.costs.to_csv(aside / "costs.csv", index=False)
            if len(pooled := self.pooled()):
                pooled.to_csv(aside / "pooled.csv", index=False)
            if len(self.measurements):
                figures.save(self.figure(), aside / "scores.png")
            if (frontier := self.frontier()) is not None:
                self.above_noise.to_csv(aside / "frontier.csv", index=False)
                figures.save(frontier, aside / "frontier.png")

    def save_beside(self, path: Path) -> Path:
        """Save into the folder `path`, or into `path-2`, `path-3` and so on, if it holds results of another plan.

        Returns the folder. Results of the same plan are replaced.
        """
        for number in itertools.count(1):
            folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
            kept = folder / PLAN
            if not folder.exists() or (kept.exists() and read_json(kept, "a plan") == self._measured()):
                break
        self.save(folder)
        return folder

    def _measured(self) -> dict[str, Any]:
        """The names under which cells are kept; they change with whatever decides the results."""
        return {"cells": sorted(self.cells.cell_path(cell).name for cell in self.plan.cells)}

    def _primary(self) -> pd.DataFrame:
        """The summary of the metrics that tasks rank by, with the name under which each method is ranked."""
        table = self.summary()
        trained = table["composition"] != NO_COMPOSITION
        if table.loc[trained, "composition"].nunique() > 1:
            names = table["method"] + "." + table["composition"]
            table = table.assign(method=table["method"].where(~trained, names))
        primary = {task.name: task.primary for task in self.plan.tasks}
        return table[table["metric"] == table["task"].map(primary)]

    def _interval(self, *row: str) -> Interval:
        *place, metric = row
        seeds = self.estimates[tuple(place)].values()  # type: ignore[index]
        return interval([estimates[metric] for estimates in seeds if metric in estimates])

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        tasks = ", ".join(task.name for task in self.plan.tasks)
        return f"<Results of {len(self.plan.cells)} cells{failed}: {tasks}; see .standings()>"

    def _repr_html_(self) -> str:
        """Shown in a notebook: the standings and the failures."""
        table = self.standings()
        shown = table.assign(
            task=table["task"].map(words),
            score=[score(mean, std) for mean, std in zip(table["mean"], table["std"], strict=True)],
        )
        html = shown.pivot(index=["task", "rank", "method"], columns="target", values="score").to_html(escape=True)
        failed = pd.DataFrame(list(self.failures.items()), columns=["failed", "reason"])
        return html + (failed.to_html(index=False, escape=True) if len(failed) else "")


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    average = rows.pivot(index="method", columns="target", values="mean").mean(axis=1, skipna=False)
    order = average.sort_index().sort_values(ascending=False, kind="stable").index
    rank = {method: place for place, method in enumerate(order, 1)}
    ranked = rows.assign(rank=rows["method"].map(rank), average=rows["method"].map(average))
    return ranked.sort_values("rank", kind="stable")
