"""Uncertainty over seeds and models: of one score, and of sums of scores such as differences and slopes."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtrinc, stdtr, stdtrit

from zoobench.tasks.estimates import Estimate

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]

RESAMPLES = 2000
LEVEL = 0.95
POWER = 0.8
ROUNDING = 1e-9  # an error that is smaller than this share of the scores is none
SEED = 0  # of the resampling: the same measurements give the same intervals


@dataclass(frozen=True)
class Interval:
    """Bounds that hold `LEVEL` of the resampled values; NaN if a metric cannot be resampled."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Array) -> Interval:
        if not len(values) or np.isnan(values).any():
            return cls(float("nan"), float("nan"))
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(low), float(high))


def interval(seeds: Sequence[Estimate]) -> Interval:
    """The interval of a metric's mean over seeds: a hierarchical bootstrap over seeds and, in each, over models."""
    generator = np.random.default_rng(SEED)
    drawn = drawn_seeds(len(seeds), generator)
    return Interval.of(resampled(seeds, drawn, generator))


def drawn_seeds(seeds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Which seeds are drawn, with replacement, in each resample: [RESAMPLES, seeds]."""
    return generator.integers(seeds, size=(RESAMPLES, seeds))


def resampled(seeds: Sequence[Estimate], drawn: NDArray[np.int64], generator: np.random.Generator) -> Array:
    """A metric's mean over the drawn seeds [resamples, seeds], with models drawn again within each: [resamples].

    NaN for a single seed with a single value: every resample is the same, however uncertain the value is.
    """
    values = np.empty(drawn.shape)
    if len(seeds) == 1 and len(seeds[0].models) == 1:
        return np.full(len(drawn), np.nan)
    for seed, estimate in enumerate(seeds):
        models = len(estimate.models)
        weights = generator.multinomial(models, np.full(models, 1 / models), size=drawn.shape).astype(float)
        values = np.where(drawn == seed, estimate.resampled(weights), values)
    return np.asarray(values.mean(1))


@dataclass(frozen=True, eq=False)
class FitScores:
    """A metric of one fit on one target, under each seed.

    fit: what is trained anew under each seed; scores of one fit on several targets vary together. values: [seeds];
    resampled: the same with models drawn again, [RESAMPLES, seeds].
    """

    fit: Hashable
    values: Array
    resampled: Array

    @classmethod
    def of(cls, fit: Hashable, target: str, seeds: Sequence[Estimate]) -> FitScores:
        """From the estimates on a target, one per seed. Equal models of a target are drawn alike."""
        if len(seeds) == 1 and len(seeds[0].models) == 1:
            resampled = np.full((RESAMPLES, 1), np.nan)  # the same in every resample, however uncertain it is
        else:
            resampled = np.stack([each.resampled(_weights(target, each.models)) for each in seeds], 1)
        return cls(fit, np.array([each.value() for each in seeds]), resampled)


@dataclass(frozen=True)
class Effect:
    """A weighted sum of scores, its standard error, and the degrees of freedom that the error is known with.

    The error is NaN if everything was measured once.
    """

    value: float
    error: float
    freedom: float

    def interval(self) -> Interval:
        """The bounds that hold the true value with probability `LEVEL`."""
        if not self.error > 0:
            return Interval(float("nan"), float("nan"))
        reach = float(stdtrit(self.freedom, (1 + LEVEL) / 2)) * self.error
        return Interval(self.value - reach, self.value + reach)

    def p(self) -> float:
        """The probability of a value at least this far from 0 if the true one is 0. NaN if the error is."""
        return 2 * float(stdtr(self.freedom, -abs(self.value) / self.error)) if self.error > 0 else float("nan")

    def could_see(self, tests: int) -> float:
        """The smallest true value that is told from 0 with probability `POWER` if it is one of so many tests."""
        if not self.error > 0:
            return float("nan")
        least = stdtrit(self.freedom, 1 - (1 - LEVEL) / 2 / tests)
        return float(nctdtrinc(self.freedom, 1 - POWER, least)) * self.error


def effect(terms: Iterable[tuple[float, FitScores]]) -> Effect:
    """The sum of weight times mean over seeds, with its error over seeds and models.

    Seeds are what a bootstrap over the seeds of each fit gives, without its bias for few seeds; the fits of different
    training sets are independent. Models are resampled, the same ones in all scores on them.
    """
    terms = list(terms)
    of_fit: dict[Hashable, Array] = {}
    for weight, scores in terms:
        of_fit[scores.fit] = of_fit.get(scores.fit, 0) + weight * scores.values
    over_models = float(np.var(sum(weight * scores.resampled.mean(1) for weight, scores in terms), ddof=1))
    several = [(seeds.var(ddof=1) / len(seeds), len(seeds) - 1) for seeds in of_fit.values() if len(seeds) > 1]
    over_seeds = sum(variance for variance, _ in several)
    uncertain = sum(variance**2 / freedom for variance, freedom in several)
    total = over_seeds + over_models
    freedom = total**2 / uncertain if uncertain > 0 else RESAMPLES - 1
    value = sum(float(seeds.mean()) for seeds in of_fit.values())
    size = sum(float(np.abs(seeds).mean()) for seeds in of_fit.values())
    error = float(np.sqrt(total))
    if error < ROUNDING * size:  # equal scores, whose difference is of rounding
        return Effect(0.0 if abs(value) < ROUNDING * size else value, 0.0, RESAMPLES - 1)
    return Effect(value, error, float(min(freedom, RESAMPLES - 1)))


def holm(p: ArrayLike) -> Array:
    """p-values corrected for their number, by Holm: [tests]. NaN stay NaN, and are not counted.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics, 1979.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, float)
    order = np.argsort(given)[: int((~np.isnan(given)).sum())]
    corrected = np.full(len(given), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)), 1)
    return corrected


def verdict(value: float, corrected: float) -> Verdict:
    """The verdict on a difference, from its corrected p-value."""
    if not corrected < 1 - LEVEL:
        return "not distinguishable"
    return "better" if value > 0 else "worse"


@lru_cache(maxsize=32)
def _weights(target: str, models: tuple[str, ...]) -> Array:
    """How often each model of a target is drawn in each resample: [RESAMPLES, models]."""
    generator = np.random.default_rng([SEED, zlib.crc32(repr((target, models)).encode())])
    return generator.multinomial(len(models), np.full(len(models), 1 / len(models)), size=RESAMPLES).astype(float)
