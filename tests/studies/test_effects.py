"""Effects of a study, on made-up studies whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zoobench.evaluation.statistics import RESAMPLES, Effect, FitScores, effect, holm
from zoobench.studies.effects import FACTORS, Factor, Shape, slope

DATASETS = "abcde"
SHAPES = {
    f"{''.join(zoos)}-{models}": Shape("", frozenset(zoos), frozenset(zoos), frozenset({("cnn_s", 1.0)}), models, "")
    for count in (1, 2, 4)
    for zoos in itertools.combinations(DATASETS, count)
    for models in (28, 56, 112)
}
SEEDS = 3
DOUBLING, IN_ALL, OF_EACH, *_ = FACTORS


def simulated(generator: np.random.Generator, *, doubling: float = 0.0, dataset: float = 0.0) -> dict[bool, dict]:
    """Scores by whether targets are in distribution, target and composition; noise per fit and target."""
    found: dict[bool, dict] = {True: {}, False: {}}
    for name, shape in SHAPES.items():
        of_fit = generator.normal(0, 0.02, SEEDS)
        truth = doubling * np.log2(shape.models) + dataset * len(shape.datasets)
        for place, target in enumerate(DATASETS):
            values = truth + 0.1 * place + of_fit + generator.normal(0, 0.02, SEEDS)
            scores = FitScores(name, values, np.stack([values, values]))  # models that do not vary
            found[target in shape.datasets].setdefault(target, {})[name] = scores
    return found


def found_of(factor: Factor, measured: dict[str, dict[str, FitScores]]) -> Effect:
    weights = {target: slope(factor, SHAPES, of) for target, of in measured.items()}
    return effect((w / len(weights), measured[t][name]) for t, of in weights.items() for name, w in of.items())


def family(measured: dict[bool, dict]) -> list[Effect]:
    return [found_of(factor, measured[inside]) for factor in FACTORS[:3] for inside in (True, False)]


def test_slopes_are_recovered_where_nothing_is_uncertain() -> None:
    generator = np.random.default_rng(0)
    measured = simulated(generator, doubling=0.03, dataset=-0.05)
    for inside in (True, False):
        assert found_of(DOUBLING, measured[inside]).value == pytest.approx(0.03, abs=0.01)
        assert found_of(IN_ALL, measured[inside]).value == pytest.approx(-0.05, abs=0.01)
    # a further dataset with as many models of each also brings models: log2(4) - log2(1) doublings over 3 datasets
    assert -0.05 < found_of(OF_EACH, measured[True]).value < -0.01


def test_a_slope_is_that_of_a_regression_with_an_intercept_per_group() -> None:
    """The slow and obvious version: least squares with one dummy variable per number of models."""
    of = simulated(np.random.default_rng(1))[False]["a"]
    names = list(of)
    sizes = sorted({SHAPES[name].models for name in names})
    design = [[len(SHAPES[n].datasets), *(SHAPES[n].models == size for size in sizes)] for n in names]
    expected = np.linalg.lstsq(np.array(design, float), np.array([of[n].values.mean() for n in names]), rcond=None)[0]
    weights = slope(IN_ALL, SHAPES, of)
    assert sum(weight * of[name].values.mean() for name, weight in weights.items()) == pytest.approx(expected[0])


def test_the_error_is_that_of_a_plain_bootstrap() -> None:
    """Seeds of each fit and models drawn again one by one; with many seeds, its bias for few of them vanishes."""
    generator = np.random.default_rng(2)
    seeds, models = 40, 30
    tables = {fit: generator.normal(0, 1, (seeds, models)) + generator.normal(0, 0.3, (seeds, 1)) for fit in "ab"}
    hard = generator.normal(0, 1, models)
    drawn = generator.multinomial(models, np.full(models, 1 / models), RESAMPLES) / models
    terms = [
        (sign, FitScores(fit, table.mean(1) + hard.mean(), drawn @ (table + hard).T))
        for sign, (fit, table) in zip((1, -0.5), tables.items(), strict=True)
    ]
    plain = []
    for _ in range(RESAMPLES):
        chosen = generator.integers(models, size=models)
        means = [(table + hard)[generator.integers(seeds, size=seeds)][:, chosen].mean() for table in tables.values()]
        plain.append(means[0] - 0.5 * means[1])
    assert effect(terms).error == pytest.approx(np.std(plain), rel=0.08)


def test_no_effect_is_found_in_one_study_of_twenty() -> None:
    generator = np.random.default_rng(3)
    found = [holm([each.p() for each in family(simulated(generator))]).min() < 0.05 for _ in range(300)]
    assert 0.02 < np.mean(found) < 0.08  # 5 % and a standard deviation of 1.3 points


def test_an_effect_of_the_size_that_could_be_seen_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(4)
    errors = [family(simulated(generator))[0] for _ in range(60)]
    planted = float(np.sqrt(np.mean([each.could_see(6) ** 2 for each in errors])))
    found = [holm([each.p() for each in family(simulated(generator, doubling=planted))])[0] < 0.05 for _ in range(100)]
    assert 0.7 < np.mean(found) < 0.95


def test_equal_scores_have_no_effect_and_no_probability() -> None:
    """Differences of rounding are not told apart from none."""
    values = np.array([0.1, 0.7, 0.3]).mean() + np.zeros(SEEDS)
    terms = [(w, FitScores(name, values, np.stack([values, values]))) for w, name in ((1 / 3, "a"), (1 / 7, "b"))]
    terms.append((-(1 / 3 + 1 / 7), FitScores("c", values * (1 + 1e-15), np.stack([values, values * (1 + 1e-15)]))))
    found = effect(terms)
    assert found.value == 0 and found.error == 0 and np.isnan(found.p()) and np.isnan(found.could_see(3))


def test_holm_rejects_as_its_steps_do() -> None:
    """The slow version: the smallest p against 5 % by all, the next by one fewer, until one is not below."""
    generator = np.random.default_rng(5)
    for _ in range(100):
        p = generator.uniform(0, 0.1, 8) ** generator.uniform(0.5, 3)
        rejected = set()
        for rank, place in enumerate(np.argsort(p)):
            if p[place] >= 0.05 / (len(p) - rank):
                break
            rejected.add(int(place))
        assert set(np.flatnonzero(holm(p) < 0.05)) == rejected
    assert np.isnan(holm([0.01, np.nan])).tolist() == [False, True] and holm([0.01, np.nan])[0] == 0.01
