"""The content of a task's section: scores by composition and target, ranks of methods."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pandas as pd

from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.studies.report.content import Report


@dataclass(frozen=True)
class ScoreCell:
    """A score on a target: mean and standard deviation over seeds, 95 % interval, relation to the composition.

    `heat` is the place of the mean among all scores on the target, from 0 to 1.
    """

    mean: float
    std: float
    low: float
    high: float
    relation: str
    heat: float


Row = dict[str, ScoreCell]
"""By target; targets without a score are missing."""


@dataclass(frozen=True)
class Matrix:
    """Scores of one method by composition, and of the methods that learn nothing by their names.

    `method` is None if the task has only the latter.
    """

    method: str | None
    targets: list[str]
    compositions: dict[str, Row]
    baselines: dict[str, Row]


def tasks(report: Report) -> list[str]:
    """The tasks with scores by their ranking metric, in order of appearance."""
    names = list(dict.fromkeys(report.summary["task"]))
    return [task for task in names if task in report.primary and len(primary_scores(report, task))]


def primary_scores(report: Report, task: str) -> pd.DataFrame:
    """The rows of the summary for the task's ranking metric."""
    rows = report.summary
    return rows[(rows["task"] == task) & (rows["metric"] == report.primary[task])]


def matrices(report: Report, task: str) -> list[Matrix]:
    """One for each method that learns from compositions."""
    scores = primary_scores(report, task)
    scores = scores.assign(heat=_heat(scores))
    learns = scores["composition"] != NO_COMPOSITION
    targets = list(dict.fromkeys(scores["target"]))
    baselines = _rows(scores[~learns], "method")
    learned = [
        Matrix(str(method), targets, _rows(rows, "composition"), baselines)
        for method, rows in scores[learns].groupby("method", sort=False)
    ]
    return learned or [Matrix(None, targets, {}, baselines)]


def ranking(report: Report, task: str) -> pd.DataFrame:
    """Mean rank of each method over targets, best first: columns method, composition, targets, rank.

    A method that learns is ranked with its largest composition (by models) among those it has scores for; 1 is the best
    rank, equal scores share the mean of theirs, and `targets` counts those that the method has a score on.
    """
    scores = primary_scores(report, task).dropna(subset="mean")
    models = report.compositions.set_index("composition")["models"]
    size = scores["composition"].map(models).fillna(0)  # methods that learn nothing: one row of size 0 each
    largest = scores["composition"].loc[size.groupby(scores["method"]).idxmax()]
    by_method = dict(zip(scores["method"].loc[largest.index], largest, strict=True))
    scores = scores[scores["composition"] == scores["method"].map(by_method)]
    ranks = scores.assign(rank=scores.groupby("target")["mean"].rank(ascending=False))
    by = ranks.groupby(["method", "composition"], sort=False)["rank"]
    return by.agg(targets="count", rank="mean").reset_index().sort_values("rank", kind="stable")


def _rows(scores: pd.DataFrame, by: str) -> dict[str, Row]:
    columns = [field.name for field in fields(ScoreCell)]
    return {
        str(name): {
            str(target): ScoreCell(*values)
            for target, values in zip(rows["target"], rows[columns].to_numpy(dtype=object).tolist(), strict=True)
        }
        for name, rows in scores.groupby(by, sort=False)
    }


def _heat(scores: pd.DataFrame) -> pd.Series[float]:
    """On each target 1 for the highest score and 0 for the lowest, or for 0 if scores have both signs: one R² of -50
    would make all others look the same."""
    of_target = scores.groupby("target")["mean"]
    low, high = of_target.transform("min"), of_target.transform("max")
    low = low.where(high <= 0, low.clip(lower=0))
    return ((scores["mean"] - low) / (high - low)).clip(0, 1).fillna(0)
