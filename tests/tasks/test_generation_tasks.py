"""Tasks on weights that a method made: judging, further training, and detecting copies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.flat_models import narrow
from helpers.measuring import observed, values
from torch import Tensor
from torch.nn import functional as F
from training.test_training import digits, model_spec

from zoo_generation.data import ImageDataset, Split
from zoo_generation.data.load import images_of, load_images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.module import build_module
from zoo_generation.networks.symmetry import random_symmetries
from zoo_generation.training import train as trainers
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.randomness import order_generator
from zoo_generation.training.train import train_model, train_models
from zoobench.methods import sampling
from zoobench.methods.baselines import AnchorAverage, Anchors, RandomInit
from zoobench.methods.sane import PRESETS, Sane
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.fine_tuning import FineTuning, specs_like
from zoobench.tasks.generation import Generation
from zoobench.tasks.reconstruction import Reconstruction
from zoobench.zoo import Zoo


@pytest.fixture(scope="module")
def tokens(built: Path) -> TokenSet:
    return TokenSet.load(select_checkpoints([Zoo(built / "zoos" / "digits-cnn_s")]))


@pytest.fixture(scope="module")
def population(tokens: TokenSet) -> Population:
    return tokens.populations[0]


@pytest.fixture(scope="module")
def setting(population: Population) -> Setting:
    return Setting(population, (population,), seed=3)


class Watched:
    """Anchors with noise on their weights; notes what it was given."""

    def __init__(self) -> None:
        self.given: list[Population] = []

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        self.given.append(anchors)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(count, anchors.layout.size, generator=generator)
        return anchors.weights[torch.arange(count) % len(anchors)] + 0.05 * noise


def test_generation_observes_every_draw(population: Population, setting: Setting) -> None:
    method, task = Watched(), Generation(drawn=8, kept=3, selection_images=200)
    answer = task.ask(method, setting)
    (anchors,) = method.given
    table = population.table
    training = table[table["split"] == "train"]
    assert set(anchors.names) <= set(population.split("train").names) and len(anchors) == 5
    best = training.groupby("model_id")["val_accuracy"].max().nlargest(5)
    assert sorted(anchors.table["val_accuracy"]) == sorted(best)

    rows, made = task.judge(answer, setting), method.generate(anchors, 8, setting.seed)
    row = table.iloc[0]
    validation, test = images_of(row, "val").first(200), images_of(row, "test")
    assert rows["model"].tolist() == [str(draw) for draw in range(8)]
    np.testing.assert_allclose(rows["val_accuracy"], accuracies(made, anchors.layout, build_module(row), validation))
    kept = rows["kept"].to_numpy()
    assert kept.sum() == 3 and rows["val_accuracy"][kept].min() >= rows["val_accuracy"][~kept].max()
    assert (rows[["test_accuracy", "overlap", "to_others"]].notna().all(axis=1) == kept).all()
    tested = accuracies(made[torch.tensor(kept)], anchors.layout, build_module(row), test).numpy()
    np.testing.assert_allclose(rows["test_accuracy"][kept], tested)
    assert isinstance(answer, Weights) and len(answer.weights) == 3
    scores = values(task, rows)
    expected = {"kept_mean": tested.mean(), "kept_std": tested.std(), "kept_best": tested.max()}
    expected["drawn_mean"] = float(accuracies(made, anchors.layout, build_module(row), test).mean())
    assert {name: scores[name] for name in expected} == pytest.approx(expected)

    of_anchors = accuracies(anchors.weights, anchors.layout, build_module(row), test).numpy()
    assert rows["bar"].unique() == pytest.approx(of_anchors.mean() - of_anchors.std())
    for units in (1, 2, 4):
        good = (rows["test_accuracy"] >= rows["bar"]) & (rows["novelty"] > units)
        assert scores[f"joint_{units}"] == pytest.approx(good[kept].sum() / 3)
        good = (rows["drawn_accuracy"] >= rows["bar"]) & (rows["novelty"] > units)
        assert scores[f"drawn_joint_{units}"] == pytest.approx(good.mean())

    submitted = task.judge(Weights(answer.weights), setting)
    again = values(task, submitted)
    assert {name: scores[name] for name in again} == pytest.approx(again, nan_ok=True)
    assert scores.keys() - again.keys() == {"drawn_mean", *(f"drawn_joint_{units}" for units in (1, 2, 4))}


class Replay:
    """Gives the training, validation or test models of a population back, in another order of their units."""

    def __init__(self, population: Population, split: str) -> None:
        self.models = choose_best(population.split(split))

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        layout, models = anchors.layout, self.models[:count]
        index, factor = random_symmetries(layout, groups_of(anchors), len(models), generator)
        return models.gather(1, index) * factor


def choose_best(population: Population) -> Tensor:
    best = population.table.groupby("model_id")["val_accuracy"].idxmax()
    return population.weights[population.table.index.isin(best)]


def test_models_that_a_method_may_know_are_not_new_but_other_trained_ones_are(
    population: Population, setting: Setting
) -> None:
    """Also those that are not among the anchors. What was trained apart is as new as the known models are."""
    task = Generation(anchors=2)
    for split in ("train", "val"):
        rows = observed(task, Replay(population, split), setting)
        assert rows["novelty"].max() < 1e-4 and rows["overlap"].min() == 1
        assert values(task, rows)["joint_1"] == 0
    of_test = values(task, observed(task, Replay(population, "test"), setting))
    assert of_test["novelty"] == pytest.approx(of_test["independent"], rel=0.5) and of_test["novelty"] > 1
    assert of_test["overlap"] < 1


def test_models_that_are_missing_are_neither_accurate_nor_new(setting: Setting) -> None:
    task = Generation(drawn=20, kept=4)
    rows = observed(task, Watched(), setting).assign(bar=0.0, novelty=3.0)
    assert [values(task, rows)[f"joint_{units}"] for units in (1, 2, 4)] == [1, 1, 0]
    few = task.score(rows[rows["kept"]].head(1))["joint_1"]
    assert few.value() == 0.25 and few.resampled(np.array([2.0, 1, 1, 0])) == 0.5


def test_a_curve_keeps_the_best_of_the_first_draws(setting: Setting) -> None:
    task = Generation(drawn=60, kept=3, selection_images=100)
    rows = observed(task, Watched(), setting)
    scores = values(task, rows)
    for candidates in (10, 20, 50):
        best = sorted(rows.head(candidates).itertuples(), key=lambda row: -row.val_accuracy)[:3]
        assert scores[f"kept_mean_of_{candidates}"] == pytest.approx(np.mean([row.drawn_accuracy for row in best]))
    assert "kept_mean_of_100" not in scores


def test_methods_with_few_models(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are seen to be copies; an average is one model, and has no others to be far from."""
    task = Generation(drawn=20)
    scores = values(task, observed(task, Anchors(), setting))
    assert scores["novelty"] < 1e-4 < scores["diversity"] and scores["joint_1"] == 0
    rows = observed(task, AnchorAverage(), setting)
    scores = values(task, rows)
    assert len(rows) == 1 and np.isnan(scores["diversity"]) and scores["novelty"] > 1
    assert scores["kept_mean"] == scores["kept_best"] and scores["kept_std"] == 0
    monkeypatch.setattr(sampling, "ELEMENTS", 7 * setting.target.layout.size)  # as of large models
    assert len(observed(task, Anchors(), setting)) == 5


def plainly_trained(
    weights: Tensor, row: pd.Series, images: ImageDataset, order: torch.Generator, epochs: int
) -> list[float]:
    """Test accuracy before and after each epoch of a loop as in any tutorial."""
    module = build_module(row)
    layout = get_architecture(row["architecture"]).layout(1, 10)
    module.load_state_dict(layout.unflatten(weights))
    optimizer = torch.optim.Adam(module.parameters(), lr=float(row["learning_rate"]))
    (shown, labels), (unseen, truth) = (
        (images.normalise(split.images), split.labels) for split in (images.train, images.test)
    )
    reached = []
    for epoch in range(epochs + 1):
        if epoch > 0:
            for batch in torch.randperm(len(shown), generator=order).split(int(row["batch_size"])):
                optimizer.zero_grad()
                F.cross_entropy(module(shown[batch]), labels[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            reached.append(float((module(unseen).argmax(1) == truth).double().mean()))
    return reached


def test_fine_tuning_is_the_plain_loop_from_the_generated_weights(population: Population, setting: Setting) -> None:
    task = FineTuning(epochs=(2, 0), models=2, generation=Generation(drawn=4, kept=3, selection_images=200))
    answer = task.ask(RandomInit(), setting)
    rows_of = task.judge(answer, setting)
    assert len(answer.weights) == 2 and task.primary == "after_2"
    before = task.generation.ask(RandomInit(), setting)
    assert torch.equal(answer.weights, before.weights[:2])
    table = population.table
    row = table.loc[table[table["split"] == "train"]["val_accuracy"].idxmax()]
    specs = specs_like(row, 2, task.epochs, setting.seed)
    images = load_images(dataset_key(specs[0]), None)
    for number, (spec, weights) in enumerate(zip(specs, answer.weights, strict=True)):
        rows = rows_of[rows_of["model"] == str(number)].set_index("epoch")
        expected = plainly_trained(weights, row, images, order_generator(spec), 2)
        assert rows["test_accuracy"][0] == pytest.approx(expected[0], abs=1e-9)
        assert rows["test_accuracy"][2] == pytest.approx(expected[2], abs=2 / len(images.test))
        assert expected[2] != expected[0]
    scores = values(task, rows_of)
    assert list(scores) == ["after_0", "after_2"] and scores["after_2"] > scores["after_0"]
    pd.testing.assert_frame_equal(observed(task, RandomInit(), setting), rows_of)


@pytest.mark.parametrize(("name", "activation", "size"), [("cnn_s", "tanh", 28), ("resnet18", "relu", 16)])
def test_training_from_weights_is_the_same_in_a_stack(
    monkeypatch: pytest.MonkeyPatch, name: str, activation: str, size: int
) -> None:
    fields: dict[str, Any] = {
        "architectures": name,
        "activation": activation,
        "width": narrow(name),
        "image_size": size,
    }
    fields |= {"optimizer": "sgd", "learning_rate": 0.01}
    specs = [model_spec(**fields, seed=seed, epochs=1, checkpoint_epochs=[0, 1]) for seed in (5, 6)]
    images = digits(size, images=48)
    few = Split(images.test.images[:20], images.test.labels[:20])
    images = replace(images, val=few, test=few)
    layout = get_architecture(name).layout(1, 10, specs[0].width)
    start = [train_model(spec, images).checkpoints[-1].state for spec in (model_spec(**fields, seed=9, epochs=1),) * 2]
    stacked = train_models(specs, images, 2, start=start)

    monkeypatch.setattr(trainers, "why_alone", lambda *_: "not here")
    alone = train_models(specs, images, 2, start=start)
    for one, other in zip(stacked, alone, strict=True):
        assert torch.equal(layout.flatten(one.checkpoints[0].state), layout.flatten(start[0]))
        ours, its = (layout.flatten(each.checkpoints[1].state) for each in (one, other))
        moved = (its - layout.flatten(start[0])).norm()
        assert moved > 0 and (ours - its).norm() < 0.02 * moved  # rounding, which training magnifies
    first, second = (layout.flatten(each.checkpoints[1].state) for each in stacked)
    assert not torch.equal(first, second)  # of other orders of the images


def with_columns(population: Population, **columns: object) -> Population:
    table = population.table.assign(**columns)
    return Population.of(population.name, population.tokenizer, population.weights, table)


def test_what_diverges_is_right_about_nothing(population: Population, setting: Setting) -> None:
    task = FineTuning(epochs=(0, 1), models=1, generation=Generation(drawn=1, kept=1))
    explosive = with_columns(population, optimizer="sgd", learning_rate=1e30, activation="relu")
    scores = values(task, observed(task, Anchors(), replace(setting, target=explosive)))
    assert scores["after_1"] == 0 < scores["after_0"]


def test_fine_tuning_needs_to_know_how(population: Population, setting: Setting) -> None:
    unknown = with_columns(population, batch_size=None)
    task = FineTuning(epochs=(1,), models=1, generation=Generation(drawn=1, kept=1))
    with pytest.raises(InputError, match="the zoo does not say the batch_size"):
        observed(task, Anchors(), replace(setting, target=unknown))
    with pytest.raises(InputError, match="one of them above 0"):
        FineTuning(epochs=(0,))


class Perfect:
    def reconstruct(self, population: Population) -> Tensor:
        return population.weights


class Forgetful:
    def reconstruct(self, population: Population) -> Tensor:
        return torch.zeros_like(population.weights)


def test_a_perfect_reconstruction_keeps_everything(population: Population, setting: Setting) -> None:
    """Of the last checkpoints of test models, also where activations are mixed."""
    task = Reconstruction()
    rows = observed(task, Perfect(), setting)
    test = population.table[population.table["split"] == "test"]
    last = test.sort_values("epoch").groupby("model_id")["test_accuracy"].last()
    recorded = rows.set_index("model")["original"]
    assert len(recorded) == len(last) == 2
    np.testing.assert_allclose(recorded[last.index], last, atol=1e-9)
    assert values(task, rows)["kept"] == 1
    forgotten = values(task, observed(task, Forgetful(), setting))
    assert forgotten["kept"] < 0.5 and forgotten["kept"] == pytest.approx(
        forgotten["reconstructed"] / forgotten["original"]
    )
    assert len(observed(Reconstruction(checkpoints=1), Perfect(), setting)) == 1

    first = population.table["model_id"] == last.index[0]
    mixed = with_columns(population, activation=np.where(first, "relu", "tanh"))
    of_mixed = observed(task, Perfect(), replace(setting, target=mixed)).set_index("model")["original"]
    assert of_mixed[last.index[0]] != recorded[last.index[0]] and of_mixed[last.index[1]] == recorded[last.index[1]]
    with pytest.raises(InputError, match="too few models"):
        task.ask(Perfect(), replace(setting, target=population.split("train")))


def test_sane_reconstructs(tokens: TokenSet, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Function is what is kept: were its autoencoder exact, canonical form and all would cost nothing."""
    sane = Sane.fit(tokens, 0, replace(PRESETS["tiny"], d_model=16, layers=1, latent=8, steps=2, permutations=2))
    task = Reconstruction()
    assert isinstance(sane, task.asks) and not isinstance(Anchors(), task.asks)
    answer = task.ask(sane, setting)
    assert answer.weights.isfinite().all()
    assert values(task, task.judge(answer, setting))["kept"] < 0.9
    monkeypatch.setattr(Sane, "encode", lambda self, tokenizer, weights: tokenizer.tokens(weights))
    monkeypatch.setattr(Sane, "decode", lambda self, tokenizer, latents, base: tokenizer.weights(latents, base))
    exact = task.ask(sane, setting)
    assert values(task, task.judge(exact, setting))["kept"] == pytest.approx(1, abs=0.01)
    last = setting.target.split("test")
    assert not torch.equal(exact.weights[0], last.weights[-1])
