"""Metrics as functions of sums over models: a bootstrap only reweighs models, without observing anything again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A metric's value, and the sums over each model's observations from which it follows.

    kind: `mean`, with columns values and their count, or parts and wholes; or `r2` (coefficient of determination), with
    columns squared errors, squared truths, truths and count. models: their names; sums: [models, columns]; exact: the
    value, if it was computed in another way than from the sums, which rounds differently.

    >>> found = Estimate.mean(pd.Series(["a", "a", "b"]), pd.Series([1.0, 0.0, 1.0]))
    >>> round(found.value(), 3)
    0.667
    >>> found.resampled(np.array([[0.0, 2.0], [1.0, 1.0]])).round(3).tolist()  # "b" twice, then each once
    [1.0, 0.667]
    """

    kind: Literal["mean", "r2"]
    models: tuple[str, ...]
    sums: Array
    exact: float | None = None

    @classmethod
    def mean(cls, models: pd.Series, values: pd.Series) -> Estimate:
        """Mean of values, one row per observation, of the models named beside them."""
        return cls._of("mean", models, {"value": values, "count": 1.0})

    @classmethod
    def ratio(cls, models: pd.Series, part: pd.Series, whole: pd.Series) -> Estimate:
        """Sum of parts by sum of wholes, one row per observation, of the models named beside them."""
        return cls._of("mean", models, {"value": part, "count": whole})

    @classmethod
    def r2(cls, models: pd.Series, truth: pd.Series, predicted: pd.Series) -> Estimate:
        """R² of predictions and truths, one row per observation, of the models named beside them."""
        error, square = (truth - predicted) ** 2, truth**2
        return cls._of("r2", models, {"error": error, "square": square, "truth": truth, "count": 1.0})

    @classmethod
    def constant(cls, value: float) -> Estimate:
        """A value that is not a function of sums over models, such as a rank correlation: it cannot be resampled."""
        return cls("mean", ("",), np.array([[value, 1.0]]), value)

    @classmethod
    def _of(cls, kind: Literal["mean", "r2"], models: pd.Series, columns: Mapping[str, pd.Series | float]) -> Estimate:
        summed = pd.DataFrame(columns).groupby(models.astype(str), sort=True).sum()
        return cls(kind, tuple(summed.index), summed.to_numpy(float))

    def exactly(self, value: float) -> Estimate:
        """The same estimate with this exact value."""
        return replace(self, exact=value)

    def value(self) -> float:
        """The metric, each model counted once."""
        return float(self.resampled(np.ones(len(self.models)))) if self.exact is None else self.exact

    def resampled(self, weights: Array) -> Array:
        """The metric [...] if each model counts as often as `weights` [..., models] say."""
        totals = weights @ self.sums
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "mean":
                return np.asarray(totals[..., 0] / totals[..., 1])
            error, square, truth, count = np.moveaxis(totals, -1, 0)
            spread = square - truth**2 / count
            return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))
