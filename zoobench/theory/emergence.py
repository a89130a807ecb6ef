"""When skills emerge: the multilinear model of multitask sparse parity in closed form, and its extension to networks.

A strength is R_k / S, the share of skill k that is learned: 0 before it, 1 after it. Source: Nam et al., An exactly
solvable model for emergence and scaling laws in the multitask sparse parity problem, arXiv 2404.17563, sections 3 to 5;
numbers of equations are those of version 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

Array = NDArray[np.float64]

SPEED = 1 / 22
"""B² of equation 14, which the authors fitted to networks of 1000 units that learn one skill of 3 of 32 bits."""
CAPACITY = 800
"""D_c of equation 17: samples of a skill from which such networks learn it."""
UNITS = 4
"""N_c of equation 21: hidden units that a skill takes."""


def in_time(
    steps: ArrayLike,
    frequency: ArrayLike,
    *,
    rate: float,
    initial: float,
    strength: float = 1.0,
    speed: float = 1.0,
) -> Array:
    """The strength of skills after steps of gradient descent on half the mean squared error: equation 11, and with a
    `speed` below 1, such as `SPEED`, equation 14.

    steps, frequency: T, and P(k) or the share of the samples that are of the skill, of shapes that go together; rate:
    the learning rate, twice as high for the mean squared error without the half; initial: the strength before training,
    above 0; strength: S. Exact as the rate goes to 0: within 0.002 while 2 · rate · P(k) · S is at most 0.006, and
    within 0.02 while it is at most 0.06.

    >>> in_time([0, 500, 2000], 0.5, rate=0.01, initial=0.01).round(2)
    array([0.01, 0.6 , 1.  ])
    """
    exposure = 2 * rate * strength * speed * np.asarray(frequency, float) * np.asarray(steps, float)
    return np.asarray(expit(exposure + logit(initial)))


def time_to(
    share: float,
    frequency: ArrayLike,
    *,
    rate: float,
    initial: float,
    strength: float = 1.0,
    speed: float = 1.0,
) -> Array:
    """The steps after which skills have the strength `share`, by the same equations; other arguments as of `in_time`.

    For skills of a power law it grows as k^(α + 1).

    >>> time_to(0.5, [0.5, 0.25], rate=0.01, initial=0.01).round().tolist()
    [460.0, 919.0]
    """
    gone = float(logit(share) - logit(initial))
    return np.asarray(gone / (2 * rate * strength * speed * np.asarray(frequency, float)))


def in_data(samples: ArrayLike, capacity: float = CAPACITY) -> Array:
    """The strength of a skill of which a network has seen so many samples, trained to the end.

    It is that of the solution of least norm, samples / capacity up to 1. Equation 17 prints 1 - √(1 - samples /
    capacity), which is 1 - √(2 L_k) / S of the same solution: it takes the loss for that of a network in which nothing
    but this skill's own direction is left to learn. Its loss is the one here, `loss_in_data`. A multilinear model needs
    one sample.

    >>> in_data([0, 200, 1600]).tolist()
    [0.0, 0.25, 1.0]
    """
    return np.clip(np.asarray(samples, float) / capacity, 0.0, 1.0)


def loss_in_data(samples: ArrayLike, capacity: float = CAPACITY, strength: float = 1.0) -> Array:
    """The loss of that skill, half a mean squared error: S² / 2 · (1 - samples / capacity), down to 0.

    >>> loss_in_data([0, 200, 1600]).tolist()
    [0.5, 0.375, 0.0]
    """
    return np.asarray(strength**2 / 2 * (1 - in_data(samples, capacity)))


def in_size(units: int, skill: ArrayLike, each: float = UNITS) -> Array:
    """The strength of skills, counted from 1, of a network of so many hidden units, trained to the end: the most
    frequent ones take `each` units, one after the other (equation 21). A multilinear model takes one unit for each,
    `each=1`.

    >>> in_size(6, [1, 2, 3]).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.clip((units - (np.asarray(skill, float) - 1) * each) / each, 0.0, 1.0)


def loss(strengths: ArrayLike, frequency: ArrayLike, strength: float = 1.0) -> Array:
    """The loss of a multilinear model [...], half a mean squared error, with these strengths [..., skills] of skills of
    these frequencies [skills]; strength: S.

    >>> float(loss([1.0, 0.0], [0.8, 0.2]))
    0.1
    """
    left = (1 - np.asarray(strengths, float)) ** 2
    return np.asarray(strength**2 / 2 * (left @ np.asarray(frequency, float)))


def fit_in_time(exposure: ArrayLike, strengths: ArrayLike) -> tuple[float, float]:
    """The two constants of equation 14 by least squares: `speed`, and the strength before training.

    exposure: of each observation what stands beside B² in the exponent, such as 2 · rate · S · P(k) · steps; strengths:
    the observed ones, some of which lie on each side of a half; else the constants are those of the nearest curve.

    >>> exposure = np.linspace(0, 20, 50)
    >>> speed, initial = fit_in_time(exposure, in_time(exposure, 1.0, rate=0.5, initial=0.01, speed=0.7))
    >>> round(speed, 3), round(initial, 4)
    (0.7, 0.01)
    """
    from scipy.optimize import least_squares

    x, y = (np.asarray(each, float).ravel() for each in (exposure, strengths))
    unit = float(x.max()) or 1.0

    def error(constants: Array) -> Any:
        return expit(constants[0] * x / unit - constants[1]) - y

    starts = [(steepness, steepness * place) for steepness in (6.0, 20.0, 60.0) for place in (0.1, 0.3, 0.6, 1.0)]
    found = [least_squares(error, start, bounds=([0.0, 0.0], [np.inf, np.inf])) for start in starts]
    speed, gone = min(found, key=lambda each: float(each.cost)).x
    return float(speed) / unit, float(expit(-gone))
