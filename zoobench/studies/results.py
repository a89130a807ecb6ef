"""The results of a study: its tables, the answers to its questions, its report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside
from zoo_generation.progress import QUIET, Progress
from zoo_generation.provenance import command, commit, hardware, versions
from zoo_generation.text import duration
from zoobench.evaluation.plan import NO_COMPOSITION, Plan, TrainingSet
from zoobench.evaluation.results import Results
from zoobench.evaluation.runner import run
from zoobench.evaluation.trainings import counts_of
from zoobench.studies.comparisons import compare
from zoobench.studies.curves import curves_over
from zoobench.studies.effects import against_baselines, effects
from zoobench.studies.fits import fits_of, with_convergence
from zoobench.studies.relations import relation
from zoobench.studies.report import Report, write_report
from zoobench.studies.study import Study
from zoobench.zoo.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plan_study(study: Study, workspace: Workspace | None = None) -> Plan:
    """The plan of a study, before anything is built; `.cost()` estimates how long it takes.

    Raises `InputError` for zoos that have models in common, and for a composition that takes more models than exist.
    """
    return study.plan(workspace or Workspace())


def run_study(study: Study, workspace: Workspace | None = None, progress: Progress = QUIET) -> StudyResults:
    """Build the zoos of a study, train its methods and measure them, except for what is kept under `runs/` already.

    Raises `InputError` as `plan_study` does; `failures` gives the reasons of later failures.
    """
    started, workspace = time.monotonic(), workspace or Workspace()
    results = run(study.plan(workspace), workspace, progress)
    progress.stage("drawing samples again for intervals")
    return StudyResults(study, results, time.monotonic() - started)


@dataclass(frozen=True, eq=False)
class StudyResults:
    """The results of a study. seconds: how long the missing pieces took to make."""

    study: Study
    results: Results
    seconds: float

    @property
    def failures(self) -> dict[str, str]:
        """Why pieces failed, by their names."""
        return dict(self.results.failures)

    @cached_property
    def relations(self) -> dict[tuple[str, str], str]:
        """The relation of each target to each composition, by their names."""
        targets = {cell.target for cell in self.results.plan.cells}
        return {
            (training.name, target.name): relation(target, training)
            for training in self._trainings
            for target in targets
        }

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row per measurement, as `Results.measurements`, with the relation of composition and target."""
        return self._related(self.results.measurements)

    def summary(self) -> pd.DataFrame:
        """Means over seeds, as `Results.summary`, with the relation of composition and target."""
        return self._related(self.results.summary())

    def standings(self) -> pd.DataFrame:
        """Methods ranked, as `Results.standings`."""
        return self.results.standings()

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """The study's questions answered, one row per method, task, and target or mean over targets; and whether the
        fits of both compositions had converged."""
        return with_convergence(compare(self.study, self.results, self.relations), self.fits)

    @cached_property
    def fits(self) -> pd.DataFrame:
        """How long each fit took and whether it had converged, one row per fit: see `fits.fits_of`."""
        return fits_of(self.results)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """What changes with more models, further datasets and architectures: as `effects.effects`."""
        return effects(self.study, self.results, self.relations)

    @cached_property
    def against_baselines(self) -> pd.DataFrame:
        """How much better learned methods are than baselines: as `effects.against_baselines`."""
        return against_baselines(self.study, self.results, self.relations)

    def curves(self, over: Literal["datasets", "models"]) -> pd.DataFrame:
        """Means against the number of datasets or of models: as `curves.curves_over`."""
        return curves_over(self.study, self.results, self.relations, over)

    @cached_property
    def compositions(self) -> pd.DataFrame:
        """One row per composition: its zoos, and how many of their models, checkpoints and tokens train."""
        zoos = {name: ", ".join(each.zoos) for name, each in self.study.all_compositions().items()}
        rows = []
        for training in self._trainings:
            try:
                counts = counts_of(self.results.cells.training(training))
            except InputError:
                counts = (0, 0, 0)
            rows.append((training.name, zoos[training.name], *counts))
        return pd.DataFrame(rows, columns=["composition", "zoos", "models", "checkpoints", "tokens"])

    @cached_property
    def report(self) -> Report:
        """The content of its pages."""
        return Report(
            title=self.study.name,
            description=self.study.description,
            compositions=self.compositions,
            fits=self.fits,
            summary=self.summary(),
            measurements=self.measurements,
            effects=self.effects,
            against_baselines=self.against_baselines,
            curves=pd.concat([self.curves("datasets"), self.curves("models")], ignore_index=True),
            comparisons=self.comparisons,
            failures=pd.DataFrame(list(self.failures.items()), columns=["cell", "reason"]),
            primary={task.name: task.primary for task in self.results.plan.tasks},
            made=self._made(),
        )

    def save(self, path: str | Path) -> None:
        """Write the report and its tables into the folder `path`.

        Files of an earlier call are replaced. Raises `InputError` if the folder holds anything else.
        """
        with directory_written_aside(Path(path)) as aside:
            write_report(self.report, aside)
            self.standings().to_csv(aside / "standings.csv", index=False)

    def figure(self) -> Figure:
        """Means of each task's primary metric with 95 % intervals, as `Results.figure`."""
        return self.results.figure()

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"<StudyResults {self.study.name}: {len(self.results.plan.cells)} cells{failed}; see .standings()>"

    def _repr_html_(self) -> str:
        return self.results._repr_html_()

    @property
    def _trainings(self) -> tuple[TrainingSet, ...]:
        given = (each for cell in self.results.plan.cells for each in (cell.fit.on, cell.sources) if each is not None)
        return tuple(dict.fromkeys(given))

    def _related(self, table: pd.DataFrame) -> pd.DataFrame:
        places = zip(table["composition"], table["target"], strict=True)
        related = table.copy()
        related.insert(4, "relation", [self.relations.get(place, NO_COMPOSITION) for place in places])
        return related

    def _made(self) -> dict[str, str]:
        """How it was made."""
        return {
            "command": command(),
            "commit": commit(),
            "hardware": hardware(),
            "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
            "date": datetime.now(UTC).date().isoformat(),
            "seeds": ", ".join(map(str, self.study.all_seeds())),
            "duration": f"{duration(self.seconds)} for what was not there yet; trainings and cells took "
            f"{duration(self.results.seconds)} in all",
        }
