"""Scaling laws of the multilinear model: the loss falls as a power of the one resource that is short.

They hold for very many skills. The loss is half a mean squared error. Source: Nam et al., arXiv 2404.17563, section 4
and appendices; the constant of the law of size is S² / (2 α ζ(α + 1)), as the authors' code has it, and not the S² / 2
of their equation 327.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class PowerLaw:
    """loss = prefactor · amount^-exponent.

    >>> PowerLaw(0.5, 2.0)(4.0).item()
    1.0
    """

    exponent: float
    prefactor: float

    def __call__(self, amount: ArrayLike) -> NDArray[np.float64]:
        """The loss at amounts of the resource."""
        return np.asarray(self.prefactor * np.asarray(amount, float) ** -self.exponent)


def law_of_time(alpha: float, *, rate: float = 1.0, initial: float = 0.01, strength: float = 1.0) -> PowerLaw:
    """The loss after T steps, when data and units are plenty (D > T³, N^(α + 1) > T).

    alpha: of the frequencies k^-(α + 1); rate: the learning rate; initial: R(0) / S; strength: S.

    >>> law = law_of_time(0.6)
    >>> round(law.exponent, 3), round(law.prefactor, 3)
    (0.375, 0.6)
    """
    scale = (rate * strength) ** (-alpha / (alpha + 1))
    return PowerLaw(alpha / (alpha + 1), strength**2 / 2 * scale * _left_by(alpha, initial, 0.0))


def law_of_data(alpha: float, *, strength: float = 1.0) -> PowerLaw:
    """The loss after training to the end on D samples, when time and units are plenty (T > D log D, N^(α + 1) > D): of
    the skills that are not among the samples.

    >>> round(law_of_data(0.6).exponent, 3)
    0.375
    """
    from scipy.special import gamma, zeta

    power = alpha / (alpha + 1)
    return PowerLaw(power, strength**2 / 2 * zeta(alpha + 1) ** (-1 / (alpha + 1)) / (alpha + 1) * float(gamma(power)))


def law_of_size(alpha: float, *, strength: float = 1.0) -> PowerLaw:
    """The loss of a model of N skills after training to the end, when time and data are plenty. Of n skills in all it
    is less: by the law at n.

    >>> round(law_of_size(1.0).prefactor, 3)
    0.304
    """
    from scipy.special import zeta

    return PowerLaw(alpha, strength**2 / (2 * alpha * float(zeta(alpha + 1))))


def law_of_compute(alpha: float, *, rate: float = 1.0, initial: float = 0.01, strength: float = 1.0) -> PowerLaw:
    """The least loss for C = steps · skills of the model, when data are plenty; arguments as of `law_of_time`.

    The optimum is at N ∝ C^(1 / (α + 2)) skills. Both parts of the loss, of learned and of missing skills, are of the
    same power of C if the exposure of the last skill is held, and the exposure that minimises their sum is found in
    numbers.

    >>> round(law_of_compute(0.6).exponent, 4)
    0.2308
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import zeta

    total, power = float(zeta(alpha + 1)), alpha / (alpha + 2)

    def left(logarithm: float) -> float:
        last = float(np.exp(logarithm))
        learned = _left_by(alpha, initial, last) * (total * last) ** (-power / (alpha + 1))
        return learned + (total * last) ** power / (alpha * total)

    found = minimize_scalar(left, bounds=(-8.0, 8.0), method="bounded")
    return PowerLaw(power, strength**2 / 2 * float(found.fun) * (rate * strength) ** -power)


def _left_by(alpha: float, initial: float, last: float) -> float:
    """The share of the loss that is left of skills whose exposure η P(k) S T is above `last`, over (η S T)^(-α/(α +
    1))."""
    from scipy.integrate import quad
    from scipy.special import expit, logit, zeta

    start, share = float(logit(initial)), 1 / (alpha + 1)

    def integrand(v: float) -> float:  # in v = u^(1 - share), which has no pole at 0
        return float(expit(-2 * v ** (1 / (1 - share)) - start)) ** 2 / (1 - share)

    whole = quad(integrand, last ** (1 - share), np.inf, limit=200)[0]
    return float(zeta(alpha + 1)) ** -share / (alpha + 1) * float(whole)
