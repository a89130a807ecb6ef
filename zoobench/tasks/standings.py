"""Measurements as a leaderboard ranks them."""

from __future__ import annotations

import pandas as pd

from zoobench.tasks.measurement import summary
from zoobench.tasks.registry import TASKS

PRIMARY = {name: TASKS.get(name).primary for name in TASKS.own}
"""The metric by which each task ranks; higher is better for all of them."""


def standings(measurements: pd.DataFrame, primary: dict[str, str] = PRIMARY) -> pd.DataFrame:
    """Methods ranked by each task's metric, by its mean over targets: a row a task, method and target, best first.

    Columns: task, metric, rank, method, average (over targets; not a number where one is missing), target, and over
    seeds mean, std, seeds.
    """
    averaged = summary(measurements)
    of_metric = averaged[averaged["metric"] == averaged["task"].map(primary)]
    tables = [_ranked(rows) for _, rows in of_metric.groupby("task", sort=False)]
    columns = ["task", "metric", "rank", "method", "average", "target", "mean", "std", "seeds"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.pivot(index="method", columns="target", values="mean")
    average = wide.mean(axis=1, skipna=False)
    order = average.sort_index().sort_values(ascending=False, kind="stable").index
    rank = {method: place for place, method in enumerate(order, 1)}
    ranked = rows.assign(rank=rows["method"].map(rank), average=rows["method"].map(average))
    return ranked.sort_values("rank", kind="stable")
