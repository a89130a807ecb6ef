"""How the fits of a study went, and which comparisons are between fits that had converged."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from zoobench.evaluation.plan import Fit
from zoobench.evaluation.results import Results
from zoobench.methods.course import converged, fall
from zoobench.methods.fitting import course_at
from zoobench.studies.budget import budget_words

WORDS = {True: "yes", False: "no", None: "unknown"}
COLUMNS = ["composition", "budget", "method", "seed", "steps", "epochs", "core_seconds", "loss", "fall", "converged"]


def fits_of(results: Results) -> pd.DataFrame:
    """One row per fit of a method that learns.

    Columns: composition, budget (in words), method, seed; steps, epochs, core_seconds: that it took; loss: of the last
    look at validation data; fall: the share of itself by which that fell in the last tenth of the steps; converged:
    `yes`, `no`, or `unknown` for a method without such looks. Numbers that are not known are NaN.
    """
    return pd.DataFrame([_row(results, fit) for fit in results.plan.fits], columns=COLUMNS)


def with_convergence(comparisons: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Comparisons with a column `converged`: `both`, `not both`, or `unknown`; a sentence says so if not both had.

    A composition counts as converged if all of its method's fits are.
    """
    told = {key: set(rows["converged"]) for key, rows in fits.groupby(["method", "composition"])}
    found = []
    for row in comparisons.itertuples():
        states = told.get((row.method, row.composition), {"unknown"}) | told.get((row.method, row.against), {"unknown"})
        found.append("not both" if "no" in states else "both" if states == {"yes"} else "unknown")
    marked = comparisons.assign(converged=found)
    marked["sentence"] += marked["converged"].map({"not both": "; not both had converged"}).fillna("")
    return marked


def _row(results: Results, fit: Fit) -> tuple[Any, ...]:
    course = course_at(results.cells.fit_path(fit))
    named = (fit.on.name if fit.on else "", budget_words(fit.config), fit.method.name, fit.seed)
    if course is None:
        return (*named, *[math.nan] * 5, WORDS[None])
    curve = course.curve
    loss = float(curve["total"].iloc[-1]) if len(curve) else math.nan
    return (*named, course.steps, course.epochs, course.core_seconds, loss, fall(curve), WORDS[converged(curve)])
