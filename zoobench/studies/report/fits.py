"""The content of the section on fits: how long methods were trained on each composition, and whether to the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from zoobench.studies.report.content import Report

FALLING = {"no": "▲ still falling", "yes": "converged", "unknown": "–"}


@dataclass(frozen=True)
class FitRow:
    """The fits of a method to a composition: numbers are means over seeds, NaN if they are not known.

    state: in words; still falling if one of them is.
    """

    composition: str
    method: str
    budget: str
    seeds: int
    steps: float
    epochs: float
    core_seconds: float
    loss: float
    fall: float
    state: str

    @property
    def numbers(self) -> list[tuple[float, str]]:
        """Each number, and as text."""
        shown = ("{:,.0f}", "{:,.1f}", "{:,.1f}", "{:.4f}", "{:+.1%}")
        values = (self.steps, self.epochs, self.core_seconds, self.loss, self.fall)
        return [(each, "–" if math.isnan(each) else how.format(each)) for each, how in zip(values, shown, strict=True)]


def fit_rows(report: Report) -> list[FitRow]:
    """One row per composition, method and budget."""
    numbers = ["steps", "epochs", "core_seconds", "loss", "fall"]
    return [
        FitRow(*map(str, key), len(rows), *rows[numbers].astype(float).mean(), _state(rows["converged"]))
        for key, rows in report.fits.groupby(["composition", "method", "budget"], sort=False)
    ]


def _state(converged: pd.Series) -> str:
    worst = next((state for state in ("no", "unknown") if state in set(converged)), "yes")
    return FALLING[worst]
