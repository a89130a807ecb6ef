"""The closed forms against the models that they are solutions of, and the laws against sums over very many skills."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zoo_generation.data.made.sparse_parity import frequencies
from zoobench.theory.emergence import fit_in_time, in_data, in_size, in_time, loss, loss_in_data, time_to
from zoobench.theory.scaling import PowerLaw, law_of_compute, law_of_data, law_of_size, law_of_time

SKILLS = 100_000
AMOUNTS = np.geomspace(300, 10_000, 5)

Array = NDArray[np.float64]


def slope(amounts: Array, losses: Array) -> float:
    return float(np.polyfit(np.log(amounts), np.log(losses), 1)[0])


def of_time(alpha: float, steps: float, skills: int = SKILLS) -> float:
    """The loss of a multilinear model of the first `skills` skills after steps at rate 1, S = 1 and R(0) = 0.01."""
    share = frequencies(SKILLS, alpha)
    strengths = in_time(steps, share, rate=1.0, initial=0.01)
    strengths[skills:] = 0.0
    return float(loss(strengths, share))


@settings(max_examples=20)
@given(st.floats(0.2, 1.5), st.floats(0.5, 5.0), st.sampled_from([1, 3, 10]))
def test_gradient_descent_follows_the_sigmoid(alpha: float, strength: float, skills: int) -> None:
    share, initial = frequencies(skills, alpha), 0.02
    rate = 0.03 / (2 * strength * share[0])
    a = b = np.full(skills, np.sqrt(initial * strength))
    for step in range(400):
        told = in_time(step, share, rate=rate, initial=initial, strength=strength)
        assert np.abs(a * b / strength - told).max() < 0.01
        error = share * (strength - a * b)
        a, b = a + rate * error * b, b + rate * error * a


@given(st.floats(0.1, 2.0), st.floats(0.01, 0.99), st.floats(0.01, 1.0))
def test_rarer_skills_take_longer_by_a_power(alpha: float, share: float, speed: float) -> None:
    common = frequencies(5, alpha)
    constants = {"rate": 0.01, "initial": 0.001, "strength": 5.0, "speed": speed}
    times = time_to(share, common, **constants)
    assert times / times[0] == pytest.approx(np.arange(1, 6) ** (alpha + 1), rel=0.01)
    assert in_time(times, common, **constants) == pytest.approx(share)


@pytest.mark.parametrize("alpha", [0.6, 0.9])
def test_the_laws_are_those_of_very_many_skills(alpha: float) -> None:
    share = frequencies(SKILLS, alpha)
    time, size = law_of_time(alpha), law_of_size(alpha)
    over_time = np.array([of_time(alpha, steps) for steps in AMOUNTS])
    over_data = np.array([share @ (1 - share) ** samples / 2 for samples in AMOUNTS])  # of skills that are not drawn
    sizes = np.array([10, 30, 100, 300])
    over_size = np.array([share[skills:].sum() / 2 for skills in sizes])
    assert slope(AMOUNTS, over_time) == pytest.approx(-time.exponent, abs=0.01)
    assert slope(AMOUNTS, over_data) == pytest.approx(-law_of_data(alpha).exponent, abs=0.01)
    assert slope(sizes, over_size) == pytest.approx(-size.exponent, abs=0.02)
    assert time(AMOUNTS) == pytest.approx(over_time, rel=0.03)
    assert law_of_data(alpha)(AMOUNTS) == pytest.approx(over_data, rel=0.03)
    assert size(sizes) - size(SKILLS) == pytest.approx(over_size, rel=0.05)


def test_the_law_of_compute_is_the_least_over_sizes() -> None:
    law, amounts = law_of_compute(0.6), np.geomspace(1e5, 1e7, 4)
    sizes = np.unique(np.geomspace(5, 2000, 60).astype(int))
    least = np.array([min(of_time(0.6, amount / size, size) for size in sizes) for amount in amounts])
    assert slope(amounts, least) == pytest.approx(-law.exponent, abs=0.02)
    assert law(amounts) == pytest.approx(least, rel=0.05)


@pytest.mark.parametrize(("alpha", "prefactor"), [(0.3, 0.6453), (0.6, 0.6001), (0.9, 0.5303)])
def test_constants_are_those_of_the_authors(alpha: float, prefactor: float) -> None:
    assert law_of_time(alpha) == PowerLaw(alpha / (alpha + 1), pytest.approx(prefactor, abs=2e-4))


def test_the_solution_of_least_norm_learns_in_proportion_to_its_samples() -> None:
    """A linear model on `capacity` random features, of which a skill's parity is one direction."""
    random, capacity = np.random.default_rng(0), 60
    for samples in (15, 30, 45, 60):
        strengths, losses = [], []
        for _ in range(60):
            seen = random.standard_normal((samples, capacity))
            found = np.linalg.pinv(seen) @ seen[:, 0]  # the parity is the first feature
            strengths.append(found[0])
            losses.append(((found - np.eye(capacity)[0]) ** 2).sum() / 2)
        assert np.mean(strengths) == pytest.approx(in_data(samples, capacity), abs=0.03)
        assert np.mean(losses) == pytest.approx(loss_in_data(samples, capacity), abs=0.03)


def test_units_go_to_the_most_frequent_skills() -> None:
    skills = np.arange(1, 6)
    for units in range(25):
        assert in_size(units, skills).sum() == pytest.approx(min(units / 4, 5))
        assert (np.diff(in_size(units, skills)) <= 0).all()
    assert in_size(2, skills, each=1).tolist() == [1, 1, 0, 0, 0]


@settings(max_examples=15)
@given(st.floats(0.05, 2.0), st.floats(1e-4, 0.1))
def test_constants_are_found_again(speed: float, initial: float) -> None:
    exposure = np.linspace(0, 3 * time_to(0.5, 1.0, rate=0.5, initial=initial, speed=speed), 40)
    found = fit_in_time(exposure, in_time(exposure, 1.0, rate=0.5, initial=initial, speed=speed))
    assert found == pytest.approx((speed, initial), rel=1e-3)
