"""Transfer as a task: pairs, flips and deltas against counting image by image, and intervals against drawing again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.flat_models import narrow
from helpers.measuring import asked, values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.module import build_module
from zoobench.populations import Population, Tokenizer
from zoobench.populations.logits import logits_of
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.transfer import PAIR, Transfer

EPOCHS = 2


def population(architecture: str = "mlp", models: int = 6, **columns: Any) -> Population:
    """Test models, and two training models, of random weights, each with two checkpoints; two activations in turn."""
    size = get_architecture(architecture).image_size
    width = 2 * narrow(architecture)
    layout = get_architecture(architecture).layout(1, 10, width)
    number = np.repeat(np.arange(models + 2), EPOCHS)
    shared = {
        "dataset": "digits",
        "train_images": 300,
        "architecture": architecture,
        "width": width,
        "image_size": size,
    }
    table = pd.DataFrame(
        {
            "model_id": [f"{architecture}-{each}" for each in number],
            "epoch": np.tile(np.arange(1, EPOCHS + 1), models + 2),
            "activation": np.where(number % 2, "relu", "tanh"),
            "split": np.where(number < 2, "train", "test"),
        }
    ).assign(**{"channels": 1, "classes": 10} | shared | columns)
    random = torch.Generator().manual_seed(len(architecture))
    weights = 0.3 * torch.randn(len(table), layout.size, generator=random)
    return Population.of(architecture, Tokenizer.of(layout, 288), weights, table)


class Mixed:
    """Gives each student with a little noise; notes what it was given."""

    def __init__(self, noise: float = 0.02) -> None:
        self.noise = noise

    def transfer(self, students: Population, teachers: Sequence[Population], taught: Tensor, seed: int) -> Tensor:
        self.students, self.teachers, self.taught = students, teachers, taught
        generator = torch.Generator().manual_seed(seed)
        return students.weights + self.noise * torch.randn(students.weights.shape, generator=generator)


def right(population: Population, model: str, weights: Tensor | None = None) -> Tensor:
    """Which test images a model has right at its last checkpoint, or with other weights: by its module, alone."""
    table = population.table[population.table["model_id"] == model]
    row = table.loc[table["epoch"].idxmax()]
    module, test = build_module(row), images_of(row, "test")
    flat = population.weights[row.name] if weights is None else weights
    module.load_state_dict(population.layout.unflatten(flat), strict=False)
    with torch.no_grad():
        return module.eval()(test.images).argmax(1) == test.labels


def test_flips_and_deltas_are_counts_of_images() -> None:
    own, other = population(), population("cnn_s", 5)
    setting = Setting(own, others=(other, population("cnn_m", dataset="glyphs")), seed=2)
    task, method = Transfer(models=5, teachers=2), Mixed()
    answer = asked(task, method, setting)
    rows = task.judge(answer, setting)
    where = {name: each for each in (own, other) for name in each.table["model_id"]}
    assert {where[name].name for name in rows["teacher"]} == {"mlp", "cnn_s"}
    for row in rows.itertuples():
        before, after = right(own, row.student), right(own, row.student, answer.weights[row.pair])
        knows = right(where[row.teacher], row.teacher)
        counts = {
            "before": before.sum(),
            "after": after.sum(),
            "gained": (after & ~before).sum(),
            "lost": (before & ~after).sum(),
            "positive": (knows & ~before).sum(),
            "negative": (before & ~knows).sum(),
            "transferred": (knows & ~before & after).sum(),
            "images": len(before),
        }
        assert {name: getattr(row, name) for name in counts} == {name: int(each) for name, each in counts.items()}
        assert row.after - row.before == row.gained - row.lost
    scores = values(task, rows)
    assert scores["delta"] == pytest.approx(scores["gained"] - scores["lost"], abs=1e-12)
    assert scores["delta"] == pytest.approx(scores["after"] - scores["before"], abs=1e-12)


def test_what_one_knows_beyond_the_other_is_what_the_other_lacks() -> None:
    setting = Setting(population())
    rows = Transfer().judge(asked(Transfer(), Mixed(), setting), setting).set_index(PAIR)
    assert len(rows) == 6 * 5 and (rows.index.get_level_values(0) != rows.index.get_level_values(1)).all()
    for (student, teacher), row in rows.iterrows():
        assert row["positive"] == rows.loc[(teacher, student), "negative"] > 0


def test_unchanged_students_gain_and_lose_nothing() -> None:
    setting = Setting(population())
    scores = values(Transfer(), Transfer().judge(asked(Transfer(), Mixed(0.0), setting), setting))
    assert {scores[name] for name in ("delta", "gained", "lost", "transferred", "success", "worst")} == {0.0}
    broken = Weights(torch.full_like(asked(Transfer(), Mixed(), setting).weights, torch.nan))
    lost = values(Transfer(), Transfer().judge(broken, setting))
    assert lost["after"] == 0 and lost["delta"] == -lost["before"] < 0


@settings(max_examples=8)
@given(seed=st.integers(0, 99), teachers=st.integers(1, 3))
def test_pairs_are_of_last_test_models_and_as_many_under_each_seed(seed: int, teachers: int) -> None:
    own, other = population(models=5), population("cnn_s", 4)
    task, method = Transfer(models=4, teachers=teachers), Mixed()
    setting = Setting(own, others=(other,), seed=seed)
    weights = task.ask(method, setting).weights
    task.form(Setting(own, others=(other,))).check(Weights(weights))  # of another seed
    last = own.table[(own.table["epoch"] == EPOCHS) & (own.table["split"] == "test")].index
    drawn = {tuple(row) for row in own.weights[list(last)].tolist()}
    students = [tuple(row) for row in method.students.weights.tolist()]
    assert set(students) <= drawn and len(set(students)) == 4
    numbers = torch.cat([each.weights.flatten(1)[:, :3] for each in method.teachers])
    assert [len(each) for each in method.teachers] == [2, 2] and int(method.taught.max()) < 4
    for student, taught in zip(method.students.weights[:, :3], method.taught, strict=True):
        assert len(set(taught.tolist())) == teachers
        assert not (numbers[taught] == student).all(1).any()
    assert "test_accuracy" not in method.students.table and "model_id" not in method.teachers[0].table


def slow_scores(table: pd.DataFrame, drawn: Sequence[str]) -> dict[str, float]:
    """Mean delta, and median over students of success, where each drawn student has each drawn teacher."""
    rows = table.set_index(PAIR)
    pairs = [[(s, t) for t in drawn if (s, t) in rows.index] for s in drawn]
    change = {pair: (row["gained"] - row["lost"], row["images"]) for pair, row in rows.iterrows()}
    every = [change[pair] for each in pairs for pair in each]
    rates = [np.mean([change[pair][0] > 0 for pair in each]) for each in pairs if each]
    return {
        "delta": sum(each for each, _ in every) / sum(each for _, each in every),
        "success": float(np.median(rates)),
    }


@settings(max_examples=30)
@given(seed=st.integers(0, 999))
def test_models_are_drawn_again_as_students_and_as_teachers(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"m{number}" for number in range(5)]
    rows = [(s, t, pair) for pair, (s, t) in enumerate((s, t) for s in names for t in names if s != t)]
    table = pd.DataFrame(rows, columns=[*PAIR, "pair"]).assign(share=1.0, images=100, model="")
    for name in ("before", "after", "gained", "lost", "positive", "negative", "transferred"):
        table[name] = random.integers(0, 20, len(table))
    scores, drawn = Transfer().score(table), list(random.choice(names, 5))
    if len(set(drawn)) == 1:
        return
    for again in (names, drawn):
        counts = np.array([again.count(name) for name in names], dtype=float)
        for metric, expected in slow_scores(table, again).items():
            assert scores[metric].models == tuple(names)
            assert float(scores[metric].resampled(counts)) == pytest.approx(expected)
    deltas = (table["gained"] - table["lost"]).groupby(table["student"]).min() / 100
    assert scores["worst"].value() == deltas.min() and scores["worst_median"].value() == deltas.median()


def test_logits_are_those_of_each_model_alone_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own = population()
    images = images_of(own.table.iloc[0], "val").images[:50]
    found = logits_of(own, images)
    assert found.shape == (len(own), 50, 10) and found.dtype == torch.float32
    for place, row in own.table.iterrows():
        module = build_module(row)
        module.load_state_dict(own.layout.unflatten(own.weights[place]), strict=False)
        with torch.no_grad():
            torch.testing.assert_close(found[place], module.eval()(images), rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("zoobench.populations.logits.logits", lambda *_: pytest.fail("made again"))
    assert torch.equal(logits_of(own.select(np.arange(len(own)) % 3 == 1), images), found[1::3])
    with pytest.raises(pytest.fail.Exception, match="made again"):
        logits_of(own, images + 1)


def test_too_few_models_are_one_sentence() -> None:
    with pytest.raises(InputError, match="has 2 test models to teach, and 2 models to teach them, too few for 2"):
        Transfer(teachers=2).form(Setting(population(models=2)))
    with pytest.raises(InputError, match="fewer than models"):
        Transfer(models=3, teachers=3)
