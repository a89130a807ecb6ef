"""Metrics as functions of sums over models: a bootstrap only reweighs models, without observing anything again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    Observations of pairs of models have sums [models, models, columns], columns as of `mean`: kind `pairs`, their mean;
    or `median`, the median over first models of each one's mean. A pair counts as often as both its models are drawn,
    multiplied: pairs share models, so they are not independent.

    Kind `within` is R² of observations in groups, such as properties: sums [models, groups, columns], columns as of
    `r2`; errors, and spreads around each group's own mean, are summed over groups.

    Kind `drawn` is of a value of each model that follows from a second sample, such as the models that an image is
    judged by: sums [models, 1 + draws, 2], columns as of `mean`, first of the whole sample, then of draws of it. Each
    resample of models takes the next draw, so that both are drawn again.

    >>> found = Estimate.mean(pd.Series(["a", "a", "b"]), pd.Series([1.0, 0.0, 1.0]))
    >>> round(found.value(), 3)
    0.667
    >>> found.resampled(np.array([[0.0, 2.0], [1.0, 1.0]])).round(3).tolist()  # "b" twice, then each once
    [1.0, 0.667]
    """

    kind: Literal["mean", "r2", "within", "pairs", "median", "drawn"]
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
    def within(cls, models: pd.Series, groups: pd.Series, truth: pd.Series, predicted: pd.Series) -> Estimate:
        """R² within groups, one row per observation, of the models and groups named beside them.

        >>> models, groups = pd.Series(["a", "b", "a", "b"]), pd.Series(["x", "x", "y", "y"])
        >>> truth, predicted = pd.Series([0.0, 1.0, 5.0, 5.0]), pd.Series([0.0, 1.0, 5.0, 5.5])
        >>> Estimate.within(models, groups, truth, predicted).value()
        0.5
        """
        rows = [(groups == each).to_numpy() for each in groups.unique()]
        parts = [cls.r2(models[own], truth[own], predicted[own]) for own in rows]
        names = tuple(sorted(set(models.astype(str))))
        sums = np.zeros((len(names), len(parts), 4))
        for number, part in enumerate(parts):
            sums[np.searchsorted(names, part.models), number] = part.sums
        return cls("within", names, sums)

    @classmethod
    def pairs(
        cls, kind: Literal["pairs", "median"], pairs: pd.DataFrame, part: pd.Series, whole: pd.Series | float = 1.0
    ) -> Estimate:
        """Of pairs, one row per pair, by the names of their models in two columns: parts by wholes, or means of values.

        >>> pairs = pd.DataFrame({"student": ["a", "a", "b"], "teacher": ["b", "c", "a"]})
        >>> Estimate.pairs("pairs", pairs, pd.Series([1.0, 0.0, 0.5])).value()
        0.5
        """
        first, second = (pairs[name].astype(str) for name in pairs)
        models = sorted({*first, *second})
        place = {name: number for number, name in enumerate(models)}
        sums = np.zeros((len(models), len(models), 2))
        values = np.stack([part.to_numpy(float), np.broadcast_to(np.asarray(whole, float), len(part))], axis=-1)
        np.add.at(sums, (first.map(place).to_numpy(int), second.map(place).to_numpy(int)), values)
        return cls(kind, tuple(models), sums)

    @classmethod
    def drawn(cls, models: Sequence[str], part: Array, whole: Array | float = 1.0) -> Estimate:
        """Parts by wholes, [models, 1 + draws]: of the whole second sample, and of each draw of it.

        >>> found = Estimate.drawn(["a", "b"], np.array([[0.4, 0.3, 0.5], [0.6, 0.5, 0.9]]))
        >>> found.value(), found.resampled(np.array([[1.0, 1.0], [2.0, 0.0]])).tolist()
        (0.5, [0.4, 0.5])
        """
        return cls("drawn", tuple(models), np.stack([part, np.broadcast_to(whole, part.shape)], axis=-1))

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
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind in ("pairs", "median"):
                return self._of_pairs(weights)
            if self.kind == "drawn":
                return self._of_draws(weights)
            totals = np.tensordot(weights, self.sums, axes=1) if self.kind == "within" else weights @ self.sums
            if self.kind == "mean":
                return np.asarray(totals[..., 0] / totals[..., 1])
            error, square, truth, count = np.moveaxis(totals, -1, 0)
            spread = square - truth**2 / count
            if self.kind == "within":
                error, square, spread = (each.sum(-1) for each in (error, square, np.where(count > 0, spread, 0.0)))
            return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))

    def _of_draws(self, weights: Array) -> Array:
        """The same for a value that follows from draws: without resamples, from the whole sample."""
        if weights.ndim == 1:
            value, whole = weights @ self.sums[:, 0]
            return np.asarray(value / whole)
        draws = self.sums.shape[1] - 1
        totals = [rows @ self.sums[:, 1 + number % draws] for number, rows in enumerate(weights)]
        return np.stack([total[..., 0] / total[..., 1] for total in totals])

    def _of_pairs(self, weights: Array) -> Array:
        """The same for pairs; where no pair is drawn, as among few models, that of each model counted once."""
        rows = np.einsum("...t,stc->...sc", weights, self.sums)
        if self.kind == "median":
            found = _median(rows[..., 0] / rows[..., 1], np.where(rows[..., 1] > 0, weights, 0))
        else:
            totals = np.einsum("...s,...sc->...c", weights, rows)
            found = np.asarray(totals[..., 0] / totals[..., 1])
        if not np.isnan(found).any() or (weights == 1).all():
            return found
        return np.where(np.isnan(found), self._of_pairs(np.ones(len(self.models))), found)


def _median(values: Array, counts: Array) -> Array:
    """The median [...] of values [..., n], each as often as its count [..., n] says. NaN if there are none."""
    order = np.argsort(values, axis=-1)  # NaN last, whose counts are 0
    values, upto = np.take_along_axis(values, order, -1), np.take_along_axis(counts, order, -1).cumsum(-1)
    half = upto[..., -1:] / 2
    middle = [(upto >= half).argmax(-1), (upto > half).argmax(-1)]
    low, high = (np.take_along_axis(values, each[..., None], -1)[..., 0] for each in middle)
    return np.asarray(np.where(upto[..., -1] > 0, (low + high) / 2, np.nan))
