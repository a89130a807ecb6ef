"""Statistics of tensors and the trees that read them, against the obvious computation and against symmetries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.methods.boosting import read_by_trees
from zoobench.methods.statnn import METHOD, Statnn
from zoobench.methods.statnn.method import statistics
from zoobench.populations import Population, Tokenizer
from zoobench.populations.symmetries import groups_of
from zoobench.testing import check_method


def made_up(architecture: str, models: int, activation: str = "tanh", seed: int = 0, channels: int = 1) -> Population:
    """Random networks; the spread of a network's first kernel is its accuracy."""
    generator = torch.Generator().manual_seed(seed)
    layout = get_architecture(architecture).layout(channels, 10, 1.0)
    scale = 0.5 + torch.rand(models, 1, generator=generator)
    weights = torch.randn(models, layout.size, generator=generator)
    weights[:, layout.entries[0].span] *= scale
    row = {"dataset": "digits", "width": 1.0, "channels": channels, "classes": 10, "image_size": 28}
    table = pd.DataFrame([row | {"architecture": architecture, "activation": activation}] * models)
    splits = np.where(np.arange(models) % 5 == 0, "val", "train")
    table = table.assign(split=splits, test_accuracy=scale[:, 0].double().numpy())
    return Population.of(architecture, Tokenizer.of(layout, 201), weights, table)


def test_it_keeps_the_contract_of_methods() -> None:
    check_method(METHOD)
    check_method(METHOD, preset="pooled")


def test_statistics_are_the_obvious_ones() -> None:
    values = torch.randn(5, 37)
    expected = [[row.mean(), row.std(), *np.percentile(row, [0, 25, 50, 75, 100])] for row in values.double().numpy()]
    torch.testing.assert_close(statistics(values).double(), torch.tensor(np.array(expected)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", ["apart", "pooled"])
def test_predictions_stay_under_permutations_and_flips(layers: str) -> None:
    known, asked = made_up("cnn_s", 120), made_up("cnn_s", 30, seed=1)
    groups, generator = groups_of(asked), torch.Generator().manual_seed(0)
    assert {group.kind for group in groups} == {"permutation", "flip"}
    index, factor = random_symmetries(asked.layout, groups, len(asked), generator)
    moved = asked.with_weights(asked.weights.gather(1, index) * factor)
    method, values = Statnn(layers=layers), known.table["test_accuracy"].to_numpy()  # type: ignore[arg-type]
    plain, turned = (method.predict([known], values, each) for each in (asked, moved))
    assert np.abs(turned - plain).max() < 1e-4 * np.abs(plain).max()
    assert np.corrcoef(plain, asked.table["test_accuracy"])[0, 1] > 0.9  # and they say something
    relu = made_up("cnn_s", 120, "relu")  # of networks without flips, and beside such, signs count
    signed = [method.predict([relu], values, made_up("cnn_s", 30, each, seed=1)) for each in ("relu", "tanh")]
    assert np.array_equal(*signed) and not np.array_equal(signed[0], plain)


@pytest.mark.parametrize("layers", ["apart", "pooled"])
def test_networks_of_other_depths_are_read_together(layers: str) -> None:
    """And missing layers do not hide the ones that they share: of a residual network the first kernel is read too."""
    small, large = made_up("cnn_s", 100), made_up("cnn_m", 100, seed=1)
    values = np.concatenate([each.table["test_accuracy"] for each in (small, large)])
    asked = made_up("cnn_m", 30, seed=2)
    found = Statnn(layers=layers).predict([small, large], values, asked)  # type: ignore[arg-type]
    assert np.corrcoef(found, asked.table["test_accuracy"])[0, 1] > (0.9 if layers == "apart" else 0.1)
    mlp = made_up("mlp", 40, seed=3)
    found = Statnn(layers=layers).predict([small, mlp], values[:140], asked)  # type: ignore[arg-type]
    assert found.shape == (30,) and np.isfinite(found).all()


def folds(count: int) -> np.ndarray:
    return np.arange(count) % 5 == 0


def test_trees_read_what_is_not_linear_and_stop_where_nothing_can_be_read() -> None:
    random = np.random.default_rng(0)
    features, others = random.standard_normal((400, 6)), random.standard_normal((100, 6))
    found = read_by_trees(features, np.abs(features[:, 0]), folds(400), others)
    assert np.corrcoef(found, np.abs(others[:, 0]))[0, 1] > 0.95
    noise = read_by_trees(features, random.standard_normal(400), folds(400), others)
    assert noise.std() < 0.3  # a few trees, where hundreds would repeat the noise
    unguarded = read_by_trees(features, random.standard_normal(400), folds(400) & False, others)
    assert unguarded.std() > noise.std()


def test_trees_do_not_depend_on_threads_and_take_missing_features_and_rare_classes() -> None:
    random = np.random.default_rng(1)
    features = random.standard_normal((300, 4))
    classes = np.where(features[:, 1] > 0, "sgd", "adam")
    features[::7, 0], features[~folds(300), 2], features[:, 3] = np.nan, np.nan, np.nan
    classes[0] = "lion"  # a held-out model's alone
    with threadpool_limits(2):
        one = read_by_trees(features, classes, folds(300), features)
    assert np.array_equal(one, read_by_trees(features, classes, folds(300), features))
    assert np.mean(one == classes) > 0.95
    constant = read_by_trees(features, np.where(folds(300), "sgd", "adam"), folds(300), features)
    assert set(constant) <= {"sgd", "adam"}
    blank = read_by_trees(np.full((40, 2), np.nan), np.arange(40.0), folds(40), np.zeros((3, 2)))
    assert np.allclose(blank, 19.5)  # nothing to read
