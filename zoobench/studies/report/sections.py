"""A report in sections, in order: the answers, then one section per task; all output formats use it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from zoo_generation.text import words
from zoobench.display.plotting import Plot
from zoobench.studies.relations import MEAN
from zoobench.studies.report.content import Report
from zoobench.studies.report.curves import epoch_curves, size_curves
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
    title: str
    metric: str
    matrices: list[Matrix]
    ranking: pd.DataFrame
    sizes: Plot | None
    epochs: list[Plot]

    @property
    def plots(self) -> list[Plot]:
        """All plots, in order."""
        return [*([self.sizes] if self.sizes else []), *self.epochs]


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
    sizes = size_curves(report, task)
    curves = epoch_curves(report, task)
    return Section(
        name,
        title,
        metric,
        matrices(report, task),
        ranking(report, task),
        line_plot(sizes, f"{name}-sizes", f"{title}: {metric} against number of models", "models", metric, "log")
        if len(sizes)
        else None,
        [
            line_plot(points, f"{name}-epochs-{place}", f"{title}: {method}, against epochs", "epochs", "accuracy")
            for place, (method, points) in enumerate(curves.items(), 1)
        ],
    )
