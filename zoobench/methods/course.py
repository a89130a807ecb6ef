"""How the fit of an iterative method went: its steps, its losses on validation data, and whether it had converged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pandas as pd

FALLING = 0.02
"""A fit has converged if its validation loss fell by less than this share of itself over the last tenth."""

TENTH = 0.1


@dataclass(frozen=True, eq=False)
class Course:
    """How a fit went. A fitted model may have one as its attribute `course`; it is kept beside the fit.

    steps: that were taken; epochs: passes over the tokens of the training set; core_seconds: CPU seconds of its
    processes, on a GPU seconds. curve: one row per look at validation data, with `step`, `total` (the loss that is
    minimised), and others; the same rows if the same fit is made again.
    """

    steps: int
    epochs: float
    core_seconds: float
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def words(self) -> str:
        """In one line: how long it took, and whether it had converged.

        >>> Course(100, 2.5, 12.34).words
        '100 steps, 2.5 epochs, 12 core-seconds; not looked at often enough to say whether it had converged'
        """
        taken = f"{self.steps:,} steps, {self.epochs:.1f} epochs, {self.core_seconds:,.0f} core-seconds"
        verdict = converged(self.curve)
        if verdict is None:
            return f"{taken}; not looked at often enough to say whether it had converged"
        state = "had converged" if verdict else "▲ still falling"
        return f"{taken}; {state}: the validation loss changed by {-fall(self.curve):+.1%} in the last tenth"


def fall(curve: pd.DataFrame) -> float:
    """The share of itself by which the validation loss fell over the last tenth of the steps.

    Negative if it rose. NaN if no look was made near that tenth's beginning, or if a loss is not finite.

    >>> fall(pd.DataFrame({"step": [50, 90, 100], "total": [0.9, 0.8, 0.6]}))
    0.25
    """
    if curve.empty:
        return math.nan
    last = curve.iloc[-1]
    before = curve[curve["step"] <= (1 - TENTH) * last["step"]]
    if before.empty or before["step"].iloc[-1] < (1 - 2 * TENTH) * last["step"]:
        return math.nan
    loss = float(before["total"].iloc[-1])
    share = (loss - float(last["total"])) / loss if loss > 0 else math.nan
    return round(share, 6) if math.isfinite(share) else math.nan


def converged(curve: pd.DataFrame, share: float = FALLING) -> bool | None:
    """Whether the validation loss fell by less than this share of itself over the last tenth of the steps.

    None if it was not looked at often enough to tell. With a learning rate that ends at zero the loss always falls
    little at the end: a fit with double the budget is the sure check.
    """
    fell = fall(curve)
    return None if math.isnan(fell) else fell < share
