"""The content of the section on fits: how long methods were trained on each composition, and whether to the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from zoobench.studies.report.content import Report

FALLING = {"no": "▲ still falling", "yes": "converged", "unknown": "–"}

NUMBERS = {"steps": "{:,.0f}", "epochs": "{:,.1f}", "loss": "{:.4f}", "fall": "{:+.1%}"}
"""The numbers that are shown of fits, and how. Core-seconds are in `fits.csv` alone: a report does not depend on how
fast a machine is."""


@dataclass(frozen=True)
class FitRow:
    """The fits of a method to a composition.

    means: over seeds, of each of `NUMBERS`, NaN if it is not known; state: in words; still falling if one of them is.
    """

    composition: str
    method: str
    budget: str
    seeds: int
    means: list[float]
    state: str

    @property
    def numbers(self) -> list[tuple[float, str]]:
        """Each mean, and as text."""
        return [
            (mean, "–" if math.isnan(mean) else form.format(mean))
            for mean, form in zip(self.means, NUMBERS.values(), strict=True)
        ]


def fit_rows(report: Report) -> list[FitRow]:
    """One row per composition, method and budget."""
    found = []
    for key, rows in report.fits.groupby(["composition", "method", "budget"], sort=False):
        composition, method, budget = map(str, key)
        means = [float(rows[name].mean()) for name in NUMBERS]
        found.append(FitRow(composition, method, budget, len(rows), means, _state(rows["converged"])))
    return found


def _state(converged: pd.Series) -> str:
    worst = next((state for state in ("no", "unknown") if state in set(converged)), "yes")
    return FALLING[worst]
