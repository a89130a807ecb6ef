"""A report in sections, in order: what it says, then one section per task; all output formats use it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from zoo_generation.text import words
from zoobench.display.plotting import Plot
from zoobench.studies.relations import MEAN
from zoobench.studies.report.content import Report
from zoobench.studies.report.curves import composition_curves, epoch_curves
from zoobench.studies.report.plotting import line_plot
from zoobench.studies.report.scores import Matrix, matrices, ranking, tasks


@dataclass(frozen=True, eq=False)
class Answered:
    """Comparisons that answer one question: over means of targets, and over single targets."""

    question: str
    means: pd.DataFrame
    single: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Section:
    """All content of one task."""

    name: str
    """Valid as an id and as a file name."""
    task: str
    title: str
    metric: str
    matrices: list[Matrix]
    ranking: pd.DataFrame
    compositions: list[Plot]
    """Against the number of datasets, and of models."""
    epochs: list[Plot]

    @property
    def plots(self) -> list[Plot]:
        """All plots, in order."""
        return [*self.compositions, *self.epochs]


def answers(report: Report) -> list[Answered]:
    """The comparisons by question, in order of appearance."""
    found = []
    for question, rows in report.comparisons.groupby("question", sort=False):
        mean = rows["targets"].str.startswith(MEAN)
        found.append(Answered(str(question), rows[mean], rows[~mean]))
    return found


def sections(report: Report) -> list[Section]:
    """One for each task that has scores, with its plots drawn."""
    return [_section(report, task, number) for number, task in enumerate(tasks(report), 1)]


def _section(report: Report, task: str, number: int) -> Section:
    name = f"task-{number}-{re.sub(r'[^a-z0-9]+', '-', task.lower())}"
    title = words(task).capitalize()
    metric = words(report.primary[task])
    epochs = epoch_curves(report, task)
    return Section(
        name,
        task,
        title,
        metric,
        matrices(report, task),
        ranking(report, task),
        [
            line_plot(points, f"{name}-{over}", f"{title}: {metric} against number of {over}", over, metric, scale)
            for over, scale in (("datasets", "linear"), ("models", "log"))
            if len(points := composition_curves(report, task, over))
        ],
        [line_plot(epochs, f"{name}-epochs", f"{title} against epochs", "epochs", "accuracy")] if len(epochs) else [],
    )
