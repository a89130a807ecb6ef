"""The linear datamodeling score: what it is on made-up truths, its ceiling, intervals, and what methods see of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.subset_models import IMAGES, bank_of, dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.module import build_module
from zoobench.evaluation.statistics import interval
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.subsets import masks_of
from zoobench.tasks.answers import Scores
from zoobench.tasks.attribution import Attribution
from zoobench.tasks.base import Setting
from zoobench.tasks.ceiling import ceilings, of_whole
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.rank_correlation import drawn_counts, spearman

TASK = Attribution(images=4, evaluated="all")


def setting(subsets: int = 8, seeds: int = 2) -> Setting:
    """A bank of six subsets to learn from, and a target of others."""
    return Setting(bank_of(subsets, seeds, first=100), (bank_of(),), images=ImageStore())


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(3, 12), values=st.integers(1, 6), seed=st.integers(0, 999))
def test_rank_correlations_are_those_of_repeated_rows(rows: int, values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = (random.integers(values, size=(rows, 2)).astype(float) for _ in range(2))
    counts = drawn_counts(rows, 3, seed)
    assert (counts.sum(1) == rows).all() and (counts[0] == 1).all()
    found = spearman(one, other, counts)
    for draw, often in enumerate(counts.astype(int)):
        for column in range(2):
            first, second = (np.repeat(each[:, column], often) for each in (one, other))
            constant = np.ptp(first) == 0 or np.ptp(second) == 0
            expected = 0 if constant else spearmanr(first, second).statistic
            assert found[column, draw] == pytest.approx(expected, abs=1e-9)


def test_the_score_is_the_correlation_over_subsets_of_sums_and_mean_margins() -> None:
    here = setting()
    form = TASK.form(here)
    assert len(form.rows) == 4 and form.columns == tuple(map(str, range(IMAGES)))
    values = torch.randn(4, IMAGES, generator=torch.Generator().manual_seed(0))
    found = TASK.score(TASK.judge(Scores(values, form.rows, form.columns), here))
    whole = dataset()
    pixels = whole.normalise(whole.test.images)
    table = here.target.table
    expected = []
    for row, number in enumerate(map(int, form.rows)):
        truth, sums = [], []
        for seed in sorted(set(table["subset_seed"])):
            of_subset = table.index[(table["subset_seed"] == seed) & (table["epoch"] == 4)]
            assert len(of_subset) == 2
            margins = []
            for place in of_subset:
                module = build_module(table.iloc[place])
                answer = logits(here.target.weights[place][None], here.target.layout, module, pixels)[0, number]
                p = answer.double().softmax(0)[whole.test.labels[number]]
                margins.append(float((p / (1 - p)).log()))
            truth.append(np.mean(margins))
            mask = masks_of(table.iloc[of_subset[:1]], IMAGES)[0]
            sums.append(float(values[row][mask].double().sum()))
        expected.append(spearmanr(truth, sums).statistic)
    assert found["lds"].value() == pytest.approx(np.mean(expected), abs=1e-6)


def made_up(truth: Tensor, noise: float, scores: Tensor, subsets: int = 300) -> dict[str, float]:
    """The metrics of scores [4, images], of margins that are linear in masks but for noise."""
    random = torch.Generator().manual_seed(0)
    masks = (torch.rand(subsets, truth.shape[1], generator=random) < 0.5).double()
    clean = masks @ truth.T
    halves = [clean + noise * torch.randn(clean.shape, generator=random) for _ in range(2)]

    columns = {"predicted": masks @ scores.T, "margin": sum(halves) / 2, "half": halves[0], "other_half": halves[1]}
    table = pd.DataFrame({name: values.numpy().ravel() for name, values in columns.items()})
    table["model"] = np.tile([str(each) for each in range(len(truth))], subsets)
    table["subset"] = np.repeat(np.arange(subsets), len(truth))
    found = TASK.score(table)
    bounds = interval([found["lds"]])
    return {name: each.value() for name, each in found.items()} | {"low": bounds.low, "high": bounds.high}


def test_the_truth_reaches_the_ceiling_and_chance_is_nothing() -> None:
    truth = torch.randn(4, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    best = made_up(truth, 2.0, truth)
    assert 0.7 < best["ceiling"] < 0.95
    assert best["lds"] == pytest.approx(best["ceiling"], abs=0.03)
    assert best["of_ceiling"] == pytest.approx(best["lds"] / best["ceiling"])
    assert best["low"] < best["lds"] < best["high"]
    chance = made_up(truth, 2.0, torch.randn(4, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    assert abs(chance["lds"]) < 0.3 and made_up(truth, 2.0, torch.zeros(4, 30).double())["lds"] == 0
    assert made_up(truth, 2.0, -truth)["lds"] == pytest.approx(-best["lds"])


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_the_ceiling_of_one_image_is_what_perfect_scores_reach(share: float) -> None:
    random = np.random.default_rng(0)
    clean = random.normal(size=100_000) * share**0.5
    halves = clean + random.normal(size=(2, len(clean))) * (1 - share) ** 0.5
    agreed = spearmanr(*halves).statistic
    assert of_whole(np.array(agreed)) == pytest.approx(spearmanr(clean, halves.mean(0)).statistic, abs=0.01)


@pytest.mark.parametrize("kind", ["equal", "spread", "two kinds"])
def test_the_ceiling_of_many_images_is_not_lowered_by_noise(kind: str) -> None:
    """Its mean over repetitions is the true one, and so is the middle of its interval, which mostly holds it."""
    random = np.random.default_rng(3)
    shares = {
        "equal": np.full(60, 0.15),
        "spread": random.beta(1.5, 8, 60),
        "two kinds": np.repeat([0.02, 0.4], 30),
    }[kind]
    pearson = np.sqrt(2 * shares / (1 + shares))  # of the truth with the mean of halves, whose variance is 1 each
    true = float((6 / np.pi * np.arcsin(pearson / 2)).mean())
    found = []
    for _ in range(20):
        clean = random.normal(size=(80, 60)) * shares**0.5
        halves = clean + random.normal(size=(2, 80, 60)) * (1 - shares) ** 0.5
        estimate = Estimate.drawn([*map(str, range(60))], ceilings(spearman(*halves, drawn_counts(80, 50))))
        bounds = interval([estimate])
        found.append((estimate.value(), bounds.low, bounds.high))
    value, low, high = np.array(found).T
    assert value.mean() == pytest.approx(true, abs=0.025)
    assert ((low + high) / 2).mean() == pytest.approx(true, abs=0.025)
    assert ((low < true) & (true < high)).mean() >= 0.8
    assert ((low < value) & (value < high)).all() and (high - low).mean() < 0.3  # an image's noise is drawn twice over


def test_intervals_are_wider_than_those_of_images_alone() -> None:
    """All images share the subsets, so that their errors do not average out."""
    truth = torch.ones(4, 30, dtype=torch.float64) + 0.01 * torch.randn(4, 30).double()
    found = made_up(truth, 5.0, truth, subsets=40)
    assert found["high"] - found["low"] > 0.1


class Watching:
    """Says what it was given."""

    seen: Population
    images: Images

    def attribute(self, models: Population, asked: Images) -> Tensor:
        self.seen, self.images = models, asked
        return torch.zeros(len(asked.labels), len(models.evidence.labelled("train").labels))


def test_methods_see_the_sources_and_the_asked_images_alone() -> None:
    here, method = setting(), Watching()
    answer = TASK.ask(method, here)
    TASK.form(here).check(answer)
    assert set(method.seen.table["model_id"]) == set(bank_of().table["model_id"])
    assert not set(method.seen.table["subset_seed"]) & set(here.target.table["subset_seed"])
    assert len(method.images.labels) == 4 and len(set(method.images.labels.tolist())) == 4
    assert TASK.score(TASK.judge(answer, here))["lds"].value() == 0  # nothing is gained by saying nothing


def test_settings_without_other_subsets_are_refused() -> None:
    here = setting()
    with pytest.raises(InputError, match="give the task evaluated='test'"):
        TASK.ask(Watching(), replace(here, sources=(here.target,)))
    with pytest.raises(InapplicableError, match="no training zoo has models on random subsets"):
        TASK.ask(Watching(), replace(here, sources=()))
    with pytest.raises(InputError, match="judged by 2 subsets"):
        few = setting(2)
        form = TASK.form(few)
        TASK.score(TASK.judge(Scores(torch.zeros(4, IMAGES), form.rows, form.columns), few))
