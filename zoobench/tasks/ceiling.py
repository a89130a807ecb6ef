"""What the noise of a truth leaves to be reached: the rank correlation of perfect scores with it, from halves of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Array = NDArray[np.float64]

POINTS = (np.arange(64) + 0.5) / 64  # of a distribution, evenly in probability
STEP = 1e-4  # of derivatives
LEAST = 1e-6  # variance, as a share of the most that is possible


def of_whole(agreed: Array) -> Array:
    """The rank correlation of perfect scores with the mean of two halves, whose rank correlation is `agreed`, 0 to 1.

    By Spearman and Brown for Pearson's correlation, which follows from Spearman's where values are normal.

    >>> of_whole(np.array([0.0, 0.2, 1.0])).round(3).tolist()
    [0.0, 0.57, 1.0]
    """
    product = 2 * np.sin(np.pi / 6 * agreed)
    return np.asarray(6 / np.pi * np.arcsin(np.sqrt(2 * product / (1 + product)) / 2))


def ceilings(agreed: Array) -> Array:
    """What perfect scores would reach, for `Estimate.drawn`: [columns, 1 + draws], whose mean over columns counts.

    agreed: the rank correlation of the halves of each column, of the whole sample and of draws of it, [columns, 1 +
    draws]. `of_whole` bends, so that of noisy correlations it is too low in the mean, and of draws, which are noisier,
    lower still. So its mean is that over a Beta distribution with the mean of the correlations, and with their variance
    less that of the noise, which is what draws change; draws have it twice. A column's own value is the mean and what
    the column adds to it, in first order.
    """
    columns = len(agreed)
    mean, most = agreed.mean(0), columns / max(1, columns - 1)
    apart = agreed - mean
    squares = most * apart**2
    spread = squares.mean(0)
    noise = float(most * apart[:, 1:].var(1, ddof=1).mean()) if agreed.shape[1] > 2 else 0.0
    variance = spread - noise * np.where(np.arange(agreed.shape[1]) == 0, 1, 2)
    value = _mean(mean, variance)
    by_mean, by_variance = (
        (_mean(mean + one, variance + other) - _mean(mean - one, variance - other)) / (2 * STEP)
        for one, other in ((STEP, 0.0), (0.0, STEP))
    )
    return np.asarray(value + by_mean * apart + by_variance * (squares - spread))


def _mean(mean: Array, variance: Array) -> Array:
    """The mean of `of_whole` over Beta distributions of these moments [draws]; 0 where the mean is not above 0."""
    inside = np.clip(mean, STEP, 1 - STEP)
    most = inside * (1 - inside)
    size = most / np.clip(variance, LEAST * most, (1 - STEP) * most) - 1
    places = betaincinv((inside * size)[:, None], ((1 - inside) * size)[:, None], POINTS)
    return np.where(mean > 0, of_whole(places).mean(1), 0.0)
