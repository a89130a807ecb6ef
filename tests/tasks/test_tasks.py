"""Tasks on features, against cases with a known answer and against the obvious computation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Install, shared
from helpers.measuring import observed, values
from helpers.observations import made_up
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.methods import boosting
from zoobench.methods.baselines import FlatWeights, Hyperparameters, LayerStatistics, SpectralStatistics, TrainingMean
from zoobench.methods.protocols import Embedder
from zoobench.populations import Population, Tokenizer, TokenSet, select_checkpoints
from zoobench.tasks import probe
from zoobench.tasks.base import Setting, Task
from zoobench.tasks.generation import Generation
from zoobench.tasks.probe import Embedded
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.registry import TASKS, get_task
from zoobench.zoo import Zoo
from zoobench.zoo.importers import import_zoo


def table_of(accuracy: np.ndarray, checkpoints: int) -> pd.DataFrame:
    models = len(accuracy) // checkpoints
    splits = np.array(["train"] * (models - 8) + ["val"] * 4 + ["test"] * 4)
    return pd.DataFrame(
        {
            "model_id": np.repeat([f"model-{i}" for i in range(models)], checkpoints),
            "split": np.repeat(splits, checkpoints),
            "test_accuracy": accuracy,
            "train_accuracy": accuracy + 0.1,
            "epoch": np.tile(np.arange(checkpoints), models),
            "learning_rate": np.repeat(np.where(np.arange(models) % 2, 0.1, 0.01), checkpoints),
        }
        | dict.fromkeys(("activation", "init", "optimizer", "weight_decay", "dropout", "batch_size"), 0)
    )


def scores_of(features: np.ndarray, table: pd.DataFrame) -> dict[str, float]:
    embedded = Embedded(features, table)
    read = probe.judge(probe.read(embedded.rest, embedded.test), table[table["split"] == "test"])
    return {metric: estimate.value() for metric, estimate in probe.score(read).items()}


def test_a_probe_reads_what_is_linear_and_only_that() -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((24 * 5, 16))
    readable = scores_of(features, table_of(features @ random.standard_normal(16), 5))
    assert readable["r2:test_accuracy"] > 0.99 and readable["tau:test_accuracy"] > 0.9
    noise = scores_of(features, table_of(random.standard_normal(24 * 5), 5))
    assert noise["r2:test_accuracy"] < 0.3
    assert {"r2:generalization_gap", "tau:epoch", "accuracy:learning_rate"} < set(noise)
    assert "accuracy:optimizer" not in noise  # it does not vary


def test_a_probe_does_not_recognise_models_it_has_seen() -> None:
    """Features that identify a model predict its accuracy perfectly among its own checkpoints, and no other's."""
    random = np.random.default_rng(1)
    features = np.repeat(random.standard_normal((24, 40)), 5, axis=0)
    accuracy = np.repeat(random.standard_normal(24), 5)
    assert scores_of(features, table_of(accuracy, 5))["r2:test_accuracy"] < 0.5


def flat(state: dict[str, np.ndarray]) -> list[float]:
    return [value for part in state.values() for value in part.ravel()]


def seven_numbers(state: dict[str, np.ndarray]) -> list[float]:
    numbers: list[float] = []
    for part in state.values():
        numbers += [part.mean(), part.var(), *np.percentile(part, [1, 25, 50, 75, 99])]
    return numbers


def spectra(state: dict[str, np.ndarray]) -> list[float]:
    numbers: list[float] = []
    for part in state.values():
        if part.ndim > 1:
            matrix = part.reshape(len(part), -1)
            values = np.linalg.svd(matrix, compute_uv=False)
            share = values / values.sum()
            half = len(values) // 2
            eigenvalues = values**2
            numbers += [np.log10(np.linalg.norm(matrix)), np.log10(np.linalg.norm(matrix, 2))]
            numbers += [np.log10(np.linalg.norm(matrix, "nuc")), np.linalg.norm(matrix) ** 2 / eigenvalues.max()]
            numbers += [np.exp(-np.sum(share * np.log(share))), np.mean(np.log(eigenvalues[:half] / eigenvalues[half]))]
    return numbers


def standardised(fit: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = fit.mean(0), fit.std(0)
    deviation[deviation < 1e-12] = 1
    return (fit - mean) / deviation, (others - mean) / deviation


def ridge(fit: np.ndarray, values: np.ndarray, others: np.ndarray, alpha: float) -> np.ndarray:
    """In the dual, where there are as many unknowns as checkpoints."""
    fit, others = standardised(fit, others)
    dual = np.linalg.solve(fit @ fit.T + alpha * np.eye(len(fit)), values - values.mean())
    return others @ fit.T @ dual + values.mean()


def classified(fit: np.ndarray, classes: np.ndarray, others: np.ndarray, alpha: float) -> np.ndarray:
    fit, others = standardised(fit, others)
    return RidgeClassifier(alpha=alpha).fit(fit, classes).predict(others)


def best_strength(fit: Any, right: Any, features: np.ndarray, targets: np.ndarray, models: np.ndarray) -> float:
    """By the mean over four folds of models of how right a fit is on what is left out."""
    means = {}
    for alpha in (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0):
        means[alpha] = np.mean(
            [
                right(targets[out], fit(features[rest], targets[rest], features[out], alpha))
                for rest, out in GroupKFold(4).split(features, groups=models)
            ]
        )
    return max(means, key=lambda alpha: means[alpha])


def obvious_scores(features: np.ndarray, table: pd.DataFrame) -> dict[str, float]:
    test = (table["split"] == "test").to_numpy()
    x, models, scores = features[~test], table["model_id"].to_numpy()[~test], {}
    gap = table["train_accuracy"] - table["test_accuracy"]
    for name, column in {
        "test_accuracy": table["test_accuracy"],
        "generalization_gap": gap,
        "epoch": table["epoch"],
    }.items():
        truth = column.to_numpy(float)
        alpha = best_strength(ridge, lambda y, p: -np.mean((y - p) ** 2), x, truth[~test], models)
        y, predicted = truth[test], ridge(x, truth[~test], features[test], alpha)
        scores[f"r2:{name}"] = 1 - np.mean((y - predicted) ** 2) / np.var(y)
        a, b = (np.sign(np.subtract.outer(each, each)) for each in (y, predicted))
        scores[f"tau:{name}"] = np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
    for name in ("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout", "batch_size"):
        classes = table[name].astype(str).to_numpy()
        if len(set(classes[~test])) > 1:
            alpha = best_strength(classified, lambda y, p: np.mean(y == p), x, classes[~test], models)
            scores[f"accuracy:{name}"] = np.mean(classified(x, classes[~test], features[test], alpha) == classes[test])
    return scores


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    path = tmp_path_factory.mktemp("imported")
    import_zoo(shared("reference/zoo_mnist_cnn_s"), path, "reference")
    return Zoo(path)


@pytest.mark.parametrize(
    ("method", "obvious"), [(FlatWeights(), flat), (LayerStatistics(), seven_numbers), (SpectralStatistics(), spectra)]
)
def test_property_prediction_is_the_obvious_computation(
    reference: Zoo, method: Embedder, obvious: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a published zoo, from its weights on: features, probe and scores."""
    monkeypatch.setattr(boosting, "MOST", 2)  # trees, which are not compared
    (population,) = TokenSet.load(select_checkpoints([reference])).populations
    task = PropertyPrediction()
    found = values(task, observed(task, method, Setting(population)))
    found = {metric: value for metric, value in found.items() if not metric.startswith("change:")}
    scores = {metric: value for metric, value in found.items() if "boosted" not in metric}
    assert len(found) == 2 * len(scores)
    table = population.table
    rows = reference.checkpoints.set_index(["model_id", "epoch"])
    stored = rows.loc[list(zip(table["model_id"], table["epoch"], strict=True))].reset_index()
    weights, layout = reference.weights(stored)
    states = [{name: part.double().numpy() for name, part in layout.unflatten(each).items()} for each in weights]
    expected = obvious_scores(np.array([obvious(state) for state in states]), table)
    assert len(expected) >= 7 and scores == pytest.approx(expected, abs=1e-4)


def population(name: str, models: int, layout: Layout, seed: int) -> Population:
    """Five checkpoints a model, of which the accuracy is a sum of weights, and of nothing else."""
    weights = torch.randn(5 * models, layout.size, generator=torch.Generator().manual_seed(seed))
    table = table_of(weights[:, :3].sum(1).double().numpy(), 5)
    return Population.of(name, Tokenizer.of(layout, 4), weights, table.assign(model_id=name + table["model_id"]))


SMALL, LARGE = (Layout.of_shapes({"weight": (size, 4)}) for size in (3, 4))


def corrupted(population: Population, *splits: str) -> Population:
    """The models in these splits with other weights, and other properties."""
    rows = population.table["split"].isin(splits)
    weights = population.weights.clone()
    weights[torch.tensor(rows.to_numpy())] = 1e3
    table = population.table.copy()
    table.loc[rows, ["test_accuracy", "learning_rate"]] = -7.0
    return Population.of(population.name, population.tokenizer, weights, table)


def test_a_probe_is_carried_over_and_sees_nothing_of_the_target() -> None:
    """Nor of the test models of what it is fitted to."""
    first, second, target = (population(name, 24, SMALL, seed) for seed, name in enumerate("abc"))
    task = PropertyPrediction(probe="sources")

    def read(target: Population, *training: Population) -> pd.DataFrame:
        return task.judge(task.ask(FlatWeights(), Setting(target, training)), Setting(target))

    rows = read(target, first, second)
    assert values(task, rows)[task.primary] > 0.95
    assert set(rows["model"]) == set(target.split("test").table["model_id"])
    unseen = read(corrupted(target, "train", "val"), corrupted(first, "test"), second)
    pd.testing.assert_frame_equal(rows, unseen)
    changed = read(corrupted(target, "test"), first, second)  # which are read, by the same probe
    of_the_probe = (rows["kind"] == "number") & ~rows["property"].str.startswith("boosted_")
    assert (changed.loc[of_the_probe, "predicted"] != rows.loc[of_the_probe, "predicted"]).all()
    assert not rows.equals(read(target, first, corrupted(second, "val")))
    own = observed(PropertyPrediction(), FlatWeights(), Setting(target, (first,)))
    pd.testing.assert_frame_equal(read(target, target), own)
    with pytest.raises(InputError, match="different lengths for different architectures"):
        read(population("d", 24, LARGE, 3), first)
    with pytest.raises(InputError, match="different lengths for different architectures"):
        read(target, first, population("d", 24, LARGE, 3))
    with pytest.raises(InputError, match="two models"):
        read(target, first.select(first.table["model_id"] == "amodel-0"))


def test_trees_read_what_a_probe_cannot() -> None:
    random = np.random.default_rng(2)
    features = random.standard_normal((80 * 5, 4))
    scores = scores_of(features, table_of(np.abs(features[:, 0]), 5))
    assert scores["r2:boosted_test_accuracy"] > 0.9 > 0.3 > scores["r2:test_accuracy"]
    assert scores["tau:boosted_test_accuracy"] > 0.8


def test_floors_see_hyperparameters_and_nothing_else() -> None:
    target = population("a", 40, SMALL, 0)
    rate = target.table["learning_rate"]
    target = with_columns(target, test_accuracy=rate + 0.1 * target.table["epoch"], train_accuracy=1.0)
    task = PropertyPrediction()
    scores, mean = (
        values(task, observed(task, method, Setting(target))) for method in (Hyperparameters(), TrainingMean())
    )
    assert scores["r2:test_accuracy"] > 0.99 and mean["r2:test_accuracy"] == pytest.approx(0, abs=0.05)
    assert scores["r2:epoch"] < 0.1 and mean["accuracy:learning_rate"] == 0.5  # hidden when it is asked for
    other = target.with_weights(torch.zeros_like(target.weights))
    assert values(task, observed(task, Hyperparameters(), Setting(other))) == pytest.approx(scores, nan_ok=True)
    assert "r2:boosted_test_accuracy" not in scores


def with_columns(population: Population, **columns: object) -> Population:
    table = population.table.assign(**columns)
    return Population.of(population.name, population.tokenizer, population.weights, table)


def test_a_form_asks_for_what_known_models_can_tell() -> None:
    """Whatever varies among others, and whatever is not recorded; what is asked for by name is never left out."""
    target, source = population("a", 24, SMALL, 0), population("b", 24, SMALL, 1)
    source = with_columns(source, learning_rate=0.1, dropout=source.table["learning_rate"], train_accuracy=np.nan)
    task, setting = PropertyPrediction(probe="sources"), Setting(target, (source,))
    assert set(task.form(setting).items["property"]) == {"test_accuracy", "epoch", "dropout"}
    answered = {"test_accuracy", "epoch", "dropout", "boosted_test_accuracy", "boosted_epoch", "boosted_dropout"}
    assert set(observed(task, FlatWeights(), setting)["property"]) == answered
    few = PropertyPrediction(properties=("epoch", "learning_rate"))
    assert set(observed(few, TrainingMean(), setting)["property"]) == {"epoch", "learning_rate"}
    named = PropertyPrediction(properties=("boosted_epoch", "boosted_learning_rate", "epoch"))
    assert set(named.form(setting).items["property"]) == set(named.properties)
    for method in (FlatWeights(), TrainingMean()):  # what predicts by itself answers under both names
        assert set(named.properties) <= set(observed(named, method, setting)["property"])
    alone = Setting(with_columns(target.split("test"), learning_rate=0.1))  # as a leaderboard judges
    assert set(few.form(alone).items["property"]) == {"epoch", "learning_rate"}
    with pytest.raises(InputError, match="the learning_rate of the models that a probe is fitted to is constant"):
        PropertyPrediction("sources", ("learning_rate",)).ask(FlatWeights(), setting)
    with pytest.raises(InputError, match="asked for 'colour'"):
        PropertyPrediction(properties=("colour",))


ALL = [get_task(name) for name in TASKS.own]


@pytest.mark.parametrize("task", ALL, ids=TASKS.own)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_estimates_are_scores_of_whatever_models_are_drawn_again(task: Task, seed: int) -> None:
    observations = made_up(task.name, seed)
    drawn = np.random.default_rng(seed).choice(observations["model"].unique(), 6)
    again = pd.concat([observations[observations["model"] == model] for model in drawn])
    redrawn = {}
    if task.name not in (
        "generation",
        "transfer",
        "value",
        "attribution",
        "membership",
    ):  # of pairs both are drawn: see test_transfer
        redrawn = values(task, again)
    elif task.name == "generation" and again["kept"].any():  # as many are asked for as are kept
        task = Generation(kept=3)
        redrawn = values(Generation(kept=int(again["kept"].sum())), again)
    scores = task.score(observations)
    for metric, each in scores.items():
        assert float(each.resampled(np.ones(len(each.models)))) == pytest.approx(each.value(), rel=1e-9, nan_ok=True)
        if each.models != ("",) and metric in redrawn:  # τ and the like stay as they are
            counts = np.array([list(drawn).count(model) for model in each.models], dtype=float)
            expected = pytest.approx(redrawn[metric], rel=1e-6, abs=1e-9, nan_ok=True)
            assert float(each.resampled(counts)) == expected
    assert task.primary in scores and (scores[task.primary].models != ("",)) == (task.primary[:3] != "tau")


@pytest.mark.parametrize("task", ALL, ids=TASKS.own)
def test_observations_are_scored_from_a_file_as_from_memory(task: Task, tmp_path: Path) -> None:
    observations = made_up(task.name, 0)
    observations.to_parquet(tmp_path / "observations.parquet")
    assert values(task, pd.read_parquet(tmp_path / "observations.parquet")) == values(task, observations)


def test_tasks_have_names() -> None:
    names = ["property_prediction", "property_transfer", "skill_prediction", "skill_forecast", "generation"]
    names += ["fine_tuning", "zero_shot"]
    names += ["merging", "reconstruction", "transfer", "growth", "value", "attribution", "brittleness"]
    names += ["membership", "lineage", "model_tree", "landscape_prediction", "phase_prediction", "extraction"]
    assert list(TASKS.own) == names and [get_task(name).name for name in names] == names
    with pytest.raises(InputError, match="unknown task 'generatoin': did you mean 'generation'"):
        get_task("generatoin")
    with pytest.raises(InputError, match="into 'property_transfer'; name that one instead"):
        get_task("property_prediction", {"probe": "sources"})


COUNTING = """
from dataclasses import dataclass
from zoobench.tasks.reconstruction import Reconstruction

@dataclass(frozen=True)
class Counting(Reconstruction):
    most: int = 3
    name = "{name}"

TASK, HALF = Counting(), object()
"""


def test_a_package_may_bring_a_task(install: Install) -> None:
    points = {"counting": "mine:TASK", "other": "mine:TASK", "half": "mine:HALF"}
    install("mine", points, group="zoobench.tasks", mine=COUNTING.format(name="counting"))
    assert "counting" in TASKS.names() and get_task("counting", {"most": 5}).most == 5  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"the task 'other' of the package mine .* calls itself 'counting'"):
        get_task("other")
    with pytest.raises(InputError, match=r"the task 'half' of the package mine .* lacks 'name'"):
        get_task("half")
