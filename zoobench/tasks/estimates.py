"""Metrics as functions of sums over models: a bootstrap weighs models anew, and observes nothing again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sums:
    """A metric's sums over each model's observations.

    kind: `mean`, of which columns are values and their count, or what they are parts of; or `r2` (coefficient of
    determination): squared errors, squared truths, truths, count. models: their names; sums: [models, columns].
    """

    kind: Literal["mean", "r2"]
    models: tuple[str, ...]
    sums: Array

    @classmethod
    def mean(cls, models: pd.Series, values: pd.Series) -> Sums:
        """Of values, one row an observation, of the models named beside them."""
        return cls._of("mean", models, {"value": values, "count": 1.0})

    @classmethod
    def ratio(cls, models: pd.Series, part: pd.Series, whole: pd.Series) -> Sums:
        """Of the sum of parts to that of wholes, one row an observation, of the models named beside them."""
        return cls._of("mean", models, {"value": part, "count": whole})

    @classmethod
    def r2(cls, models: pd.Series, truth: pd.Series, predicted: pd.Series) -> Sums:
        """Of predictions and truths, one row an observation, of the models named beside them."""
        error, square = (truth - predicted) ** 2, truth**2
        return cls._of("r2", models, {"error": error, "square": square, "truth": truth, "count": 1.0})

    @classmethod
    def constant(cls, value: float) -> Sums:
        """Of a value that does not come from models that could be drawn again."""
        return cls("mean", ("",), np.array([[value, 1.0]]))

    @classmethod
    def _of(cls, kind: Literal["mean", "r2"], models: pd.Series, columns: Mapping[str, pd.Series | float]) -> Sums:
        summed = pd.DataFrame(columns).groupby(models.astype(str), sort=True).sum()
        return cls(kind, tuple(summed.index), summed.to_numpy(float))

    def value(self, weights: Array | None = None) -> Array:
        """The metric [...] where each model counts as often as `weights` [..., models] say; once, without any."""
        weights = np.ones(len(self.models)) if weights is None else weights
        totals = weights @ self.sums
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "mean":
                return np.asarray(totals[..., 0] / totals[..., 1])
            error, square, truth, count = np.moveaxis(totals, -1, 0)
            spread = square - truth**2 / count
            return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))
