"""The format in which every task reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Measurement:
    """One number: a method's score on a target, by a metric, under a seed."""

    task: str
    method: str
    target: str
    metric: str
    seed: int
    value: float


def tidy(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row per measurement."""
    return pd.DataFrame([asdict(measurement) for measurement in measurements])


def summary(measurements: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation (Bessel's) over seeds: columns mean, std, seeds; std is NaN for one seed."""
    keys = ["task", "method", "target", "metric"]
    values = measurements.groupby(keys, sort=False)["value"]
    return values.agg(mean="mean", std="std", seeds="count").reset_index()


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON: NaN becomes null."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(column): value for column, value in row.items()} for row in rows]
