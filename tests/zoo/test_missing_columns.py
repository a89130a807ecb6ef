"""Zoos of others: what is not recorded, and weights that ran away, end in results or in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Run
from torch import Tensor

from zoo_generation.networks.architectures import get_architecture
from zoobench.evaluation import Results, evaluate
from zoobench.methods.registry import get_method
from zoobench.populations import TokenSet, select_checkpoints
from zoobench.populations.symmetries import reference_of
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.schema import MODELS
from zoobench.zoo.sink import Part
from zoobench.zoo.workspace import Workspace

SMALL = "steps=2,batch_size=4,d_model=16,heads=2,layers=1,latent=4"
LAYOUT = get_architecture("cnn_s").layout(1, 10)
MODEL = dict.fromkeys(MODELS.names) | {"status": "trained", "dataset": "digits", "architecture": "cnn_s", "width": 1.0}
MODEL |= {"image_size": 28, "activation": "tanh", "epochs": 2, "channels": 1, "classes": 10}

Of = Callable[[int], Any]
"""A value by the number of its model."""


def zoo_of(path: Path, count: int = 10, weights: Callable[[Tensor], object] = lambda _: None, **columns: object) -> Zoo:
    """A zoo of random models after two epochs, with other columns: of each model, or by its number."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(2 * count, LAYOUT.size, generator=generator) / 5
    weights(flat)
    given: dict[str, Of] = {name: value if callable(value) else lambda _, v=value: v for name, value in columns.items()}
    models, checkpoints = [], []
    for number in range(count):
        own = {name: value(number) for name, value in given.items()}
        identity = {"model_id": f"{number:016x}"}
        models.append(MODEL | {name: value for name, value in own.items() if name in MODELS.names} | identity)
        for epoch in (1, 2):
            accuracy = {f"{split}_accuracy": (number + epoch) / 20 for split in ("train", "val", "test")}
            checkpoints.append(
                {"epoch": epoch}
                | accuracy
                | {name: value for name, value in own.items() if name not in MODELS.names}
                | identity
            )
    sink = ZooSink(path)
    sink.write_part(Part(models, checkpoints, flat, LAYOUT))
    sink.write_card("others", {})
    return Zoo(path)


def population_of(zoo: Zoo) -> TokenSet:
    return TokenSet.load(select_checkpoints([zoo]))


def some(number: int) -> float | None:
    return number / 20 if number % 2 else None


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        ({}, 19),
        ({"val_accuracy": some}, 18),
        ({"val_accuracy": lambda number: 0.9 if number == 3 else None}, 6),
        ({"val_accuracy": None, "test_accuracy": lambda number: 1 - number / 20}, 0),
        ({"val_accuracy": None, "test_accuracy": lambda number: 0.0 if number == 7 else None}, 14),
        ({"val_accuracy": None, "test_accuracy": None}, 0),
    ],
)
def test_models_are_matched_to_the_best_that_was_measured(tmp_path: Path, columns: dict[str, Any], best: int) -> None:
    zoo = zoo_of(tmp_path, **columns)
    (population,) = population_of(zoo).populations
    wanted, _ = zoo.weights(zoo.checkpoints.iloc[[best]])
    assert torch.equal(reference_of(population), wanted[0])


@pytest.mark.parametrize(
    ("count", "columns"),
    [
        (10, {"val_accuracy": None}),
        (10, {"val_accuracy": None, "test_accuracy": None, "train_accuracy": None}),
        (10, {"activation": "Tanh"}),
        (10, {"activation": "RELU", "val_accuracy": some}),
        (2, {}),
        (1, {"val_accuracy": None}),
    ],
)
def test_sane_trains_without_what_it_does_not_need(
    run: Run, tmp_path: Path, count: int, columns: dict[str, Any]
) -> None:
    zoo_of(tmp_path / "zoo", count, **columns)
    command = ["train", "--zoo", tmp_path / "zoo", "--set", SMALL, "--out", tmp_path / "sane", "--home", tmp_path]
    code, output = run(*command)
    assert code == 0 and (tmp_path / "sane" / "model.safetensors").is_file(), output


@pytest.mark.parametrize("activation", [None, "leakyrelu"])
def test_an_unknown_activation_is_one_sentence_where_it_is_needed(
    run: Run, tmp_path: Path, activation: str | None
) -> None:
    zoo_of(tmp_path / "zoo", activation=lambda number: activation if number else "tanh")
    train = ["train", "--set", SMALL, "--out", tmp_path / "sane"]
    generate = ["generate", "--model", "weight_density", "--drawn", 2, "--kept", 1, "--anchors", 3]
    evaluate = ["eval", "--model", "sane", "--tasks", "reconstruction", "--seeds", 1]
    for command, failed in ((train, 2), (generate, 2), (evaluate, 1))[: 2 if activation else 3]:
        code, output = run(*command, "--zoo", tmp_path / "zoo", "--home", tmp_path)
        assert code == failed and "Traceback" not in output and output.count("Error:") == failed - 1, output
        assert output.count("'activation'") == 1 and "'cnn_s' on 'digits'" in output
    code, output = run("zoo", "validate", tmp_path / "zoo", "--recompute", 20, "--home", tmp_path)
    assert code == 2 and "'activation'" in output
    assert run("embed", tmp_path / "zoo", "--model", "layer_statistics", "--home", tmp_path)[0] == 0


def evaluated(zoo: Zoo, home: Path, methods: tuple[str, ...]) -> Results:
    tasks = [
        PropertyPrediction(properties=("test_accuracy", "epoch", "hyperparameters")),
        Generation(anchors=2, drawn=2, kept=1, selection_images=20),
    ]
    chosen = [get_method(name) for name in methods]
    return evaluate(chosen, [zoo], tasks=tasks, baselines=False, seeds=[0], workspace=Workspace(home, workers=2))


@pytest.mark.parametrize(
    ("count", "columns", "measured", "told"),
    [
        (10, {}, {"property_prediction", "generation"}, []),
        (10, {"val_accuracy": some}, {"property_prediction", "generation"}, []),
        (10, {"val_accuracy": None}, {"property_prediction"}, ["'val_accuracy'"]),
        (10, {"activation": None}, {"property_prediction"}, ["'activation'"]),
        (10, {"activation": "elu"}, {"property_prediction"}, ["'activation'"]),
        (10, {"learning_rate": some, "test_accuracy": None}, {"property_prediction", "generation"}, []),
        (10, {"dataset": "of their own"}, {"property_prediction"}, ["of their own"]),
        (10, {"image_size": 4}, {"property_prediction"}, ["'image_size'"]),
        (10, {"dataset": "cifar10"}, {"property_prediction"}, ["cifar10"]),
        (3, {}, {"generation"}, ["a probe needs two models"]),
    ],
)
def test_what_can_be_measured_is_and_the_rest_is_told(
    tmp_path: Path, count: int, columns: dict[str, Any], measured: set[str], told: list[str]
) -> None:
    zoo = zoo_of(tmp_path / "zoo", count, **columns)
    results = evaluated(zoo, tmp_path, ("layer_statistics", "matched_average", "anchors"))
    table = results.measurements
    assert set(table["task"]) == measured
    assert "accuracy:learning_rate" not in set(table["metric"])  # which not all models have
    failed = {name.partition(": ")[2].partition(",")[0] for name in results.failures}
    assert failed == ({"layer_statistics"} if count == 3 else {"matched_average", "anchors"} if told else set())
    assert all(words in reason and "\n" not in reason for reason in results.failures.values() for words in told)


def test_eval_shows_what_it_measured_and_what_cannot_be(run: Run, tmp_path: Path) -> None:
    zoo_of(tmp_path / "zoo", val_accuracy=None)
    tasks = ["--tasks", "property_prediction,generation"]
    code, output = run("eval", "--model", "pca", *tasks, "--zoo", tmp_path / "zoo", "--seeds", 1, "--home", tmp_path)
    assert code == 1 and "Property prediction" in output and "Traceback" not in output
    assert "'val_accuracy'" in output and "generation on digits-cnn_s-1x28: anchors, seed 0" in output


def grown(scale: float) -> Callable[[Tensor], object]:
    return lambda flat: flat[6:8].mul_(scale)  # of the fourth model


@pytest.mark.parametrize(("scale", "ran_away"), [(1e17, False), (1e20, True)])
def test_a_model_that_ran_away_is_told_and_the_others_are_used(
    run: Run, tmp_path: Path, scale: float, ran_away: bool
) -> None:
    zoo = zoo_of(tmp_path / "zoo", weights=grown(scale))
    model, place = f"{3:016x}", ["--home", tmp_path]
    for method in ("spectral_statistics", "pca"):
        out = tmp_path / method
        code, output = run("embed", tmp_path / "zoo", "--model", method, "--out", out, *place)
        assert code == 0 and "Warning" not in output and "inf" not in output, output
        written = pd.read_parquet(out / "digits-cnn_s-1x28.parquet")
        assert (model not in set(written["model_id"])) == ran_away and len(written) == (18 if ran_away else 20)
        assert np.isfinite(np.stack(written["embedding"].to_list())).all()
        assert (f"model {model} after epoch 2 is not embedded" in output) == ran_away
    code, output = run("zoo", "validate", tmp_path / "zoo", *place)
    assert code == 0 and (f"model {model} ran away" in output) == ran_away
    code, output = run("train", "--zoo", tmp_path / "zoo", "--set", SMALL, "--out", tmp_path / "sane", *place)
    assert (f"model {model} after epoch 1 is left out" in output) == ran_away and "Traceback" not in output
    assert code == 0 or (not ran_away and "diverged" in output)
    results = evaluated(zoo, tmp_path, ("layer_statistics", "pca", "matched_average"))
    assert set(results.measurements["task"]) == {"property_prediction", "generation"}


@pytest.mark.parametrize(
    "weights",
    [lambda flat: flat.fill_(0.1), lambda flat: flat.zero_(), lambda flat: flat.copy_(flat[:1].expand_as(flat))],
)
def test_models_that_are_all_alike_end_in_results(
    run: Run, tmp_path: Path, weights: Callable[[Tensor], object]
) -> None:
    zoo = zoo_of(tmp_path / "zoo", weights=weights)
    for method in ("layer_statistics", "spectral_statistics", "pca"):
        code, output = run("embed", tmp_path / "zoo", "--model", method, "--home", tmp_path)
        assert code == 0 and "nan" not in output, output
    train = ["train", "--zoo", tmp_path / "zoo", "--set", SMALL, "--out", tmp_path / "sane", "--home", tmp_path]
    assert run(*train)[0] == 0
    assert len(evaluated(zoo, tmp_path, ("layer_statistics", "weight_density")).measurements)


def test_a_zoo_of_nothing_but_such_models_is_one_sentence(run: Run, tmp_path: Path) -> None:
    zoo_of(tmp_path / "zoo", weights=lambda flat: flat.mul_(1e30))
    for command in (
        ["embed", tmp_path / "zoo", "--model", "layer_statistics"],
        ["train", "--zoo", tmp_path / "zoo", "--model", "pca", "--out", tmp_path / "pca"],
    ):
        code, output = run(*command, "--home", tmp_path)
        assert code == 2 and output.count("Error:") == 1 and "beyond float32" in output
