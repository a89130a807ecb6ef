"""Models for a dataset from the training set's populations: what a method sees, what is drawn, what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.measuring import asked, observed, values
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoobench.methods.baselines import Anchors, RandomInit
from zoobench.methods.protocols import Generator, InapplicableError
from zoobench.methods.sane import PRESETS, Sane
from zoobench.populations import Population, Tokenizer, TokenSet, select_checkpoints
from zoobench.populations.population import OPEN
from zoobench.populations.target import Target
from zoobench.studies.relations import relation
from zoobench.studies.study import read_study
from zoobench.tasks.base import Setting
from zoobench.tasks.generation import Generation
from zoobench.tasks.zero_shot import ZeroShot
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

FEW = Generation(anchors=3, drawn=8, kept=4, selection_images=100)
KEPT = ZeroShot(epochs=(0, 1), models=4, generation=FEW, classifier="kept")
NEW = replace(KEPT, classifier="new")


@pytest.fixture(scope="module")
def digits(built: Path) -> Population:
    return TokenSet.load(select_checkpoints([Zoo(built / "zoos" / "digits-cnn_s")])).populations[0]


def like(population: Population, name: str, weights: Tensor | None = None, **columns: object) -> Population:
    """A population of another name, with other weights or columns."""
    weights = population.weights if weights is None else weights
    return Population.of(name, population.tokenizer, weights, population.table.assign(**columns))


@pytest.fixture(scope="module")
def glyphs(digits: Population) -> Population:
    return like(digits, "glyphs", dataset="glyphs")


@dataclass
class Noisy:
    """Anchors with noise; notes what it was given."""

    given: list[tuple[Population, int, int]] = field(default_factory=list)

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        self.given.append((anchors, count, seed))
        noise = torch.randn(count, anchors.layout.size, generator=torch.Generator().manual_seed(seed))
        return anchors.weights[torch.arange(count) % len(anchors)] + 0.05 * noise


@dataclass
class Sampling(Noisy):
    """Also notes the target and the models that it is told it knows."""

    told: list[tuple[Target, Sequence[Population]]] = field(default_factory=list)

    def sampler(self, target: Target, settings: Any, known: Sequence[Population]) -> Generator:
        self.told.append((target, known))
        return self

    def recorded(self, settings: Any, *, anchors: bool, rounds: int) -> dict[str, Any]:
        return {}


def test_within_one_population_it_is_generation(digits: Population) -> None:
    setting = Setting(digits, (digits,), seed=3)
    rows = observed(KEPT, Noisy(), setting)
    assert values(KEPT, rows)["after_0"] == pytest.approx(values(FEW, observed(FEW, Noisy(), setting))["kept_mean"])
    assert KEPT.primary == "after_1" and set(rows["source"]) == {digits.name}


def test_the_target_models_decide_nothing(digits: Population, glyphs: Population) -> None:
    """Neither their weights nor how accurate they are, nor how they were trained: to the bit."""
    other = like(digits, digits.name, torch.randn_like(digits.weights))
    other = like(other, digits.name, val_accuracy=0.5, test_accuracy=2.0, learning_rate=9.0, batch_size=1)
    seen = []
    for target in (digits, other):
        method, setting = Sampling(), Setting(target, (glyphs,), seed=1)
        seen.append((method, asked(NEW, method, setting), observed(NEW, method, setting)))
    (method, answer, rows), (_, of_other, rows_of_other) = seen
    assert torch.equal(answer.weights, of_other.weights)
    pd.testing.assert_frame_equal(rows, rows_of_other)
    training = set(glyphs.split("train").names)
    for anchors, *_ in method.given:
        assert set(anchors.names) <= training and set(anchors.table["dataset"]) == {"glyphs"}
    for told, known in method.told:
        assert set(told.row.index) == {*OPEN, "init"} and told.row["dataset"] == "digits"
        assert [set(each.table["dataset"]) for each in known] == [{"glyphs"}]
    reading = NEW.reads(digits)
    assert len(reading) == 1
    pd.testing.assert_frame_equal(NEW.judge(answer, Setting(reading, (glyphs,), seed=1)), rows)


def test_draws_are_shared_equally(digits: Population, glyphs: Population) -> None:
    sources = (digits, glyphs, like(glyphs, "relu", activation="relu"), like(glyphs, "more", val_accuracy=0.9))
    method, setting = Noisy(), Setting(digits, sources)
    answer = asked(KEPT, method, setting)
    assert [count for _, count, _ in method.given] == [3, 3, 2]
    assert len({seed for *_, seed in method.given}) == 3
    draws = answer.draws
    assert draws["source"].tolist() == [digits.name] * 3 + ["glyphs"] * 3 + ["more"] * 2
    kept = draws[draws["place"] >= 0].sort_values("place")
    assert kept["val_accuracy"].is_monotonic_decreasing
    assert kept["val_accuracy"].min() >= draws.loc[draws["place"] < 0, "val_accuracy"].max()
    rows = KEPT.judge(answer, setting)
    assert rows.loc[rows["epoch"] == 0, "source"].tolist() == kept["source"].tolist()
    with pytest.raises(InputError, match="2 models were to be drawn from 3 populations"):
        asked(replace(KEPT, generation=replace(FEW, drawn=2)), method, setting)


def test_a_classifier_is_new_or_kept(digits: Population, glyphs: Population) -> None:
    setting = Setting(digits, (glyphs,))
    kept, new, again = (asked(task, Anchors(), setting).weights for task in (KEPT, NEW, NEW))
    training = glyphs.split("train").weights
    assert all((training == each).all(1).any() for each in kept)
    last = list(digits.layout)[-2:]
    classifier = np.zeros(digits.layout.size, dtype=bool)
    for entry in last:
        classifier[entry.span] = True
    body = torch.from_numpy(~classifier)
    for each in new:
        same = training[(training[:, body] == each[body]).all(1)]
        assert len(same) == 1 and (same[0][~body] != each[~body]).any()
    assert torch.equal(new, again)


def test_populations_that_correspond(digits: Population) -> None:
    """Of other numbers of classes: for a method that takes them, with new classifiers; of other layers: never."""
    layout = get_architecture("cnn_s").layout(1, 4)
    rows = digits.table.assign(classes=4, dataset="shades")
    weights = 0.1 * torch.randn(len(rows), layout.size, generator=torch.Generator().manual_seed(0))
    shades = Population.of("shades", Tokenizer.of(layout, digits.tokenizer.token_size), weights, rows)
    config = replace(PRESETS["tiny"], d_model=16, layers=1, latent=8, steps=2, permutations=2)
    sane, setting = Sane.fit(TokenSet(digits.tokenizer.token_size, (shades,)), 0, config), Setting(digits, (shades,))
    assert asked(NEW, sane, setting).weights.isfinite().all()
    for task, method in ((NEW, Anchors()), (KEPT, sane), (KEPT, RandomInit())):
        with pytest.raises(InapplicableError, match="no models that can be anchors"):
            asked(task, method, setting)
    other = get_architecture("mlp").layout(1, 10)
    mlps = Population.of("mlps", Tokenizer.of(other, 9), torch.randn(len(rows), other.size), digits.table)
    with pytest.raises(InapplicableError, match="no models that can be anchors"):
        asked(NEW, sane, Setting(digits, (mlps,)))
    with pytest.raises(InputError, match="it draws one"):
        ZeroShot(generation=Generation(rounds=2))


def test_a_study_measures_baselines_for_each_composition(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    zoos = {name: {"datasets": name, "seeds": 8} for name in ("digits", "glyphs")}
    study = {"name": "study", "zoos": zoos, "combine": ["alone", "all"], "tasks": {"zero_shot": {}}, "seeds": 1}
    path.write_text(yaml.safe_dump(study))
    plan = read_study(path).plan(Workspace(tmp_path))
    relations = {(cell.composition, cell.target.name): relation(cell.target, cell.sources) for cell in plan.cells}
    assert relations == {
        ("digits", "digits"): "ID",
        ("digits", "glyphs"): "OOD dataset",
        ("glyphs", "digits"): "OOD dataset",
        ("glyphs", "glyphs"): "ID",
        ("all", "digits"): "ID",
        ("all", "glyphs"): "ID",
    }
    methods = {"sane", "random_init", "anchors", "anchor_average", "matched_average", "weight_density"}
    assert {cell.fit.method.name for cell in plan.cells} == methods
    assert len(plan.cells) == len(methods) * len(relations)
