"""Uncertainty over seeds and models, and which differences between compositions it can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoobench.tasks.estimates import Estimate

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]

RESAMPLES = 2000
LEVEL = 0.95
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

    def verdict(self) -> Verdict:
        """The verdict on a difference: whether the interval holds zero."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not distinguishable"


def interval(seeds: Sequence[Estimate]) -> Interval:
    """The interval of a metric's mean over seeds: a hierarchical bootstrap over seeds and, in each, over models."""
    generator = np.random.default_rng(SEED)
    drawn = drawn_seeds(len(seeds), generator)
    return Interval.of(resampled(seeds, drawn, generator))


def difference(pairs: Mapping[str, tuple[Sequence[Estimate], Sequence[Estimate]]]) -> Interval:
    """The interval of the mean over targets of the difference (first less second) of a metric's mean over seeds.

    pairs: by target, the estimates of both, one per seed. They are paired: both have the same seeds, resampled together
    for all targets, and the same models, resampled together if both are measured on the same.
    """
    generator = np.random.default_rng(SEED)
    drawn = drawn_seeds(len(next(iter(pairs.values()))[0]), generator)
    differences = []
    for first, second in pairs.values():
        state = generator.bit_generator.state
        of_first = resampled(first, drawn, generator)
        if all(one.models == other.models for one, other in zip(first, second, strict=True)):
            generator.bit_generator.state = state
        differences.append(of_first - resampled(second, drawn, generator))
    return Interval.of(np.mean(differences, axis=0))


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
