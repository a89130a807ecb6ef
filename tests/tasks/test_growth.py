"""Growth as a task: what is saved against going along the curves, new models as the floor, and a track that asks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.measuring import asked, observed, values
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.flops import forward_flops
from zoo_generation.networks.module import build_module
from zoobench.evaluation.plan import applies
from zoobench.leaderboard.answers import read_answers, setting_of, write_answers
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.marks import Known, marks_of
from zoobench.leaderboard.track import Track
from zoobench.methods.granting import granted
from zoobench.methods.registry import get_method
from zoobench.populations import Access, Population, Tokenizer
from zoobench.populations.target import Target
from zoobench.tasks import fine_tuning, retraining
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.growth import SPENT, Growth

TASK = Growth(width=0.125, models=3, epochs=2, points=8)
MODELS = 4


def small(**columns: Any) -> Population:
    """Test models, of two activations and learning rates in turn, each with two checkpoints, and a training model."""
    row = {"dataset": "digits", "train_images": 96, "data_part": None, "architecture": "mlp", "width": 0.0625}
    row |= {"image_size": 28, "channels": 1, "classes": 10, "optimizer": "adam", "batch_size": 32, "dropout": 0.0}
    row |= {"weight_decay": 0.0, "init": "uniform"}
    number = np.repeat(np.arange(MODELS + 1), 2)
    table = pd.DataFrame([row] * len(number)).assign(
        model_id=[f"{each:016x}" for each in number],
        epoch=np.tile([1, 2], MODELS + 1),
        activation=np.where(number % 2, "relu", "tanh"),
        learning_rate=np.where(number % 2, 0.01, 0.003),
        split=np.where(number == MODELS, "train", "test"),
        val_accuracy=0.5,
    )
    torch.manual_seed(3)
    layout = Layout.of(build_module(pd.Series(row | {"activation": "relu"})).state_dict())
    weights = 0.2 * torch.randn(len(table), layout.size)
    return Population.of("small", Tokenizer.of(layout, 288), weights, table.assign(**columns))


def setting(method: str = "net2net", seed: int = 0, **columns: Any) -> Setting:
    return Setting(granted(get_method(method), small(**columns), Access.LABELS, ImageStore()), seed=seed)


def fitted(name: str, **settings: Any) -> Any:
    method = get_method(name)
    return method.fit(None, 0, method.config(None, settings))  # type: ignore[arg-type]


def slow_saving(table: pd.DataFrame, before: str) -> tuple[float, float]:
    """What is saved, and the share that reaches the accuracy from scratch, by going along the curves."""
    steps, columns = sorted(table["images"].unique()), ("accuracy", "scratch")
    means = {column: [table[table["images"] == at][column].mean() for at in steps] for column in columns}
    three = {column: [np.mean(each[at : at + 3]) for at in range(len(steps) - 2)] for column, each in means.items()}
    wanted, cost = three["scratch"][-1], {}
    for column, each in three.items():
        place = next((at for at, value in enumerate(each) if value > wanted - 1e-9), len(steps) - 1)
        seen = steps[place]
        if 0 < place < len(each):
            seen -= (steps[place] - steps[place - 1]) * (each[place] - wanted) / (each[place] - each[place - 1])
        cost[column] = seen * table["per_image"].iloc[0]
    spent = table[table["images"] == 0][before].mean()
    reached = []
    for _, rows in table.groupby("model"):
        own = rows.sort_values("images")["accuracy"].tolist()
        reached.append(any(np.mean(own[at : at + 3]) > wanted - 1e-9 for at in range(len(steps) - 2)))
    return 1 - (cost["accuracy"] + spent) / cost["scratch"], float(np.mean(reached))


@settings(max_examples=8)
@given(seed=st.integers(0, 999), lead=st.sampled_from([-0.2, 0.0, 0.1, 0.3]))
def test_what_is_saved_is_what_going_along_the_curves_finds(seed: int, lead: float) -> None:
    random = np.random.default_rng(seed)
    images = np.array([0.0, 32, 64, 96, 128, 160, 192])
    rows = []
    for model in range(4):
        rise = 1 - np.exp(-images / 60)
        fixed = {"model": f"m{model}", "per_image": 0.002, "spent": 0.05, "small_spent": 0.1, "small": 0.5}
        rows.append(
            pd.DataFrame({"images": images, "step": images // 32} | fixed).assign(
                accuracy=0.6 * rise + lead + 0.05 * random.standard_normal(7),
                scratch=0.6 * rise + 0.05 * random.standard_normal(7),
            )
        )
    table = pd.concat(rows, ignore_index=True)
    found = values(TASK, table)
    saved, reached = slow_saving(table, "spent")
    assert found["saved"] == pytest.approx(saved, abs=1e-6) and found["reached"] == reached
    in_all = slow_saving(table.assign(both=table["spent"] + table["small_spent"]), "both")[0]
    assert found["saved_in_all"] == pytest.approx(in_all, abs=1e-6) and in_all < saved
    curves = [each.sort_values("images")["accuracy"] for _, each in table.groupby("model")]
    area = np.mean([np.trapezoid(each, images) / 192 for each in curves])
    assert found["area"] == pytest.approx(area)
    again = table.assign(model=table["model"].map({"m0": "m3", "m1": "m2", "m2": "m1", "m3": "m0"}))
    assert values(TASK, again)["saved"] == found["saved"]


def test_new_models_save_nothing_and_are_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed in as new is what the judge trains from scratch, whatever methods came before."""
    retraining._kept.cache_clear()
    train, trained = fine_tuning.train_models, []

    def counting(specs: Any, *given: Any, **named: Any) -> Any:
        trained.append(len(specs))
        return train(specs, *given, **named)

    monkeypatch.setattr(fine_tuning, "train_models", counting)
    scores = {}
    for name in ("scratch", "random_padding"):
        scores[name] = values(TASK, observed(TASK, fitted(name), setting(name)))
    assert sum(trained) == 2 * TASK.models
    assert scores["scratch"]["saved"] == 0.0 and scores["scratch"]["final"] == scores["scratch"]["scratch"]
    assert len({each["scratch"] for each in scores.values()}) == 1


def test_large_models_are_those_of_their_own_small_ones() -> None:
    """In order, each with its own activation and learning rate; and what is computed stays at first."""
    rows = observed(TASK, fitted("net2net", noise=0.0), setting())
    assert rows["model"].nunique() == 3 and list(rows["model"].unique()) == [f"{each:016x}" for each in (0, 2, 3)]
    start = rows[rows["step"] == 0]
    assert start["accuracy"].tolist() == pytest.approx(start["small"].tolist()) and start["small"].nunique() > 1
    assert rows["images"].max() == 2 * 96 and sorted(rows["step"].unique()) == [0, 1, 2, 3, 4, 5, 6]
    per_image = 3 * forward_flops("mlp", 1, 10, 0.125, 28) / 1e9
    assert rows["per_image"].unique() == pytest.approx([per_image])
    assert rows["small_spent"].unique() == pytest.approx([3 * forward_flops("mlp", 1, 10, 0.0625, 28) / 1e9 * 96 * 2])
    assert {spec.learning_rate for spec in TASK._specs(TASK.reads(small()), 0)} == {0.003, 0.01}


def test_what_growth_spends_counts_and_less_than_nothing_does_not() -> None:
    here = setting("ligo")
    answer = asked(TASK, fitted("ligo", steps=3), here)
    image = forward_flops("mlp", 1, 10, 0.125, 28)
    assert float(answer.beside[SPENT].min()) > 3 * 32 * 3 * image / 1e9  # type: ignore[union-attr]
    told = [Weights(answer.weights, beside={SPENT: torch.full((3, 1), each)}) for each in (-5.0, 0.0, 1e3)]
    saved = [values(TASK, TASK.judge(each, here))["saved"] for each in told]
    assert saved[0] == saved[1] > saved[2]


def test_what_is_no_larger_is_a_sentence() -> None:
    with pytest.raises(InputError, match="which is no larger; set 'width' or 'architecture'"):
        Growth(width=0.0625).form(setting())
    with pytest.raises(InputError, match="needs images of 32×32, and small has models for 28 pixels"):
        Growth(architecture="cnn_l").form(setting())
    with pytest.raises(InputError, match="4 points or more"):
        Growth(points=2)
    with pytest.raises(InputError, match="one batch size"):
        mixed = setting(batch_size=np.repeat([16, 32, 32, 32, 32], 2))
        TASK.judge(asked(TASK, fitted("scratch"), mixed), mixed)


class Sampler:
    """Generates models of any target, without anchors; notes what it was told."""

    def sampler(self, target: Target, settings: Any, known: Any) -> Any:
        return Drawing(target)

    def recorded(self, settings: Any, *, anchors: bool, rounds: int) -> dict[str, Any]:
        return {}


@dataclass
class Drawing:
    target: Target

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        assert not len(anchors)
        return self.target.new_models(count, seed)


def test_a_generator_makes_models_of_the_large_size() -> None:
    answer = asked(replace(TASK, drawn=2, generators=True), Sampler(), setting("scratch"))
    assert not applies(TASK, get_method("sane")) and applies(replace(TASK, generators=True), get_method("sane"))
    assert Growth().enlarged(small()).row["width"] == 0.125
    assert len(answer.weights) == 3 and float(answer.beside[SPENT].min()) > 0  # type: ignore[union-attr]


TRACK = Track(
    format="zoobench-track/1",
    name="growth",
    title="A track",
    summary="For tests.",
    scale="two-cores",
    task="growth",
    settings={"width": 0.125, "models": 3, "epochs": 1, "points": 4},
    zoos={"small": None},
    training=("small",),
    targets=("small",),
    seeds=2,
    metrics=("saved", "reached", "at_start"),
    tolerance=1e-6,
    access="labels",
)


def test_a_track_of_growth_is_judged_marked_and_exported(tmp_path: Path) -> None:
    task, references = TRACK.get_task(), {"small": small()}
    kept = {"small": task.reads(references["small"])}
    found: dict[str, Any] = {}
    for name in ("net2net", "random_padding"):
        found[name] = {("small", seed): task.ask(fitted(name), setting(name, seed)) for seed in TRACK.all_seeds}
    path = tmp_path / "weights.safetensors"
    write_answers(path, TRACK, references, found["net2net"])
    read = read_answers(TRACK, kept, TRACK.all_seeds, path.read_bytes())
    for score in judge(TRACK, kept, read, TRACK.all_seeds, None):
        own = [task.judge(found["net2net"]["small", seed], setting(seed=seed)) for seed in TRACK.all_seeds]
        assert list(score.values) == [task.score(each)[score.metric].value() for each in own]

    class Entry:
        name = "earlier"

    def marks(earlier: str) -> tuple[str, ...]:
        return marks_of(tmp_path, TRACK, kept, read, [Known(Entry(), found[earlier])])  # type: ignore[arg-type]

    assert marks("random_padding") == () and marks("net2net") == ("copy of earlier (6 of 6 models)",)
    export_data(tmp_path / "out", TRACK, references, kept, 288, None)
    large = json.loads((tmp_path / "out" / "large.json").read_text())["small"]
    assert large["architecture"] == "mlp" and large["width"] == 0.125
    layout = Layout.of_shapes({name: tuple(shape) for name, shape in large["layout"]})
    assert layout.size == read["small", 0].weights.shape[1]  # type: ignore[union-attr]
    asked_for = json.loads((tmp_path / "out" / "asked.json").read_text())["small/0"]
    models = pd.read_parquet(tmp_path / "out" / "models.parquet")
    assert [name for (name,) in asked_for] == models["checkpoint"].tolist() and "test_accuracy" not in models
    assert "train_labels" in load_file(tmp_path / "out" / "images" / "small.safetensors")
    assert "`gigaflops`" in (tmp_path / "out" / "README.md").read_text()
    assert isinstance(setting_of(kept, "small", 0, ImageStore()).target, Population)
