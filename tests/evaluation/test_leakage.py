"""No test data reaches the measured method: models, zoos, images, truths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoobench.evaluation import Origin, TrainingSet
from zoobench.evaluation.trainings import chosen
from zoobench.methods.baselines import RandomInit
from zoobench.methods.sane import Sane, SaneConfig
from zoobench.methods.sane.loss import Normalization
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.tasks import generation, probe
from zoobench.tasks.base import Setting
from zoobench.zoo import Zoo
from zoobench.zoo.source import Kind, Source

CONFIG = SaneConfig(d_model=32, heads=2, layers=1, latent=8, steps=4, validate_every=2)


@pytest.fixture
def digits(built: Path) -> Population:
    zoo = Zoo(built / "zoos" / "digits-cnn_s")
    return replace(TokenSet.load(select_checkpoints([zoo])).populations[0], name="digits")


def spoiled(population: Population, split: str) -> Population:
    """The population with other weights, and other accuracies, in one split."""
    rows = torch.tensor((population.table["split"] == split).to_list())
    weights = torch.where(rows[:, None], torch.tensor(1e3), population.weights)
    table = population.table.copy()
    table.loc[rows.numpy(), ["test_accuracy", "val_accuracy", "train_accuracy"]] = 2.0
    return Population.of(population.name, population.tokenizer, weights, table)


@pytest.mark.parametrize("normalization", ["token", "layer"])
def test_a_method_and_its_statistics_are_fitted_to_the_training_models_of_the_composition(
    built: Path, digits: Population, normalization: Normalization
) -> None:
    """The same to the bit for any test models; different if a training model differs."""
    kind = Kind("digits", "cnn_s", 1.0, 28, None, frozenset(), 0)
    origin = Origin("digits", (Source("digits", built, None, (kind,)),), kind)

    def fitted(population: Population) -> dict[str, torch.Tensor]:
        tokens = chosen(TrainingSet("x", (origin,), models=6), [population], digits.tokenizer.token_size)
        sane = Sane.fit(tokens, 0, replace(CONFIG, normalization=normalization))
        return sane.model.state_dict() | sane.standardization.statistics | sane.references

    plain = fitted(digits)
    assert all(torch.equal(value, plain[name]) for name, value in fitted(spoiled(digits, "test")).items())
    assert not all(torch.equal(value, plain[name]) for name, value in fitted(spoiled(digits, "train")).items())


@dataclass(frozen=True)
class Relabelled(ImageStore):
    """Images with other labels in one split."""

    split: str = ""

    def of(self, row: pd.Series, split: str) -> Images:
        found = super().of(row, split)
        return replace(found, labels=(found.labels + 1) % 10) if split == self.split else found


def test_the_best_are_chosen_by_validation_images_and_reported_on_test_images(digits: Population) -> None:
    task = generation.Generation(drawn=12, kept=3, selection_images=100)

    def observed(relabelled: str) -> pd.DataFrame:
        setting = Setting(digits, images=Relabelled(split=relabelled))
        return task.judge(task.ask(RandomInit(), setting), setting)

    plain, on_test = observed("none"), observed("test")
    tested = ["test_accuracy", "drawn_accuracy", "overlap", "bar", "independent_overlap"]
    pd.testing.assert_frame_equal(on_test.drop(columns=tested), plain.drop(columns=tested))
    assert not on_test["test_accuracy"].equals(plain["test_accuracy"])
    assert not observed("val")["val_accuracy"].equals(plain["val_accuracy"])


def test_a_probe_does_not_see_what_it_is_asked(digits: Population) -> None:
    features = np.random.default_rng(0).normal(size=(len(digits), 5))
    truths = spoiled(digits, "test").table
    plain, other = (probe.Embedded(features, table) for table in (digits.table, truths))
    read = [probe.judge(probe.read(each.rest, each.test), each.test.table) for each in (plain, other)]
    pd.testing.assert_series_equal(read[0]["predicted"], read[1]["predicted"])
    assert not read[0]["truth"].equals(read[1]["truth"])


def test_anchors_are_training_models(digits: Population) -> None:
    """Though those of the other splits are better."""
    for split in ("val", "test"):
        assert set(generation.choose_anchors(spoiled(digits, split), 5).table["split"]) == {"train"}
