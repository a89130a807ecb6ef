"""Asked checkpoints reveal only their weights: names, order, tables, files, reachable memory."""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Install, Run
from helpers.measuring import observed
from helpers.reaching import MEASURED, told
from helpers.submitting import Board
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from scipy.stats import kendalltau
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.training.spec import ZooSpec
from zoobench.evaluation import Origin, TrainingSet
from zoobench.evaluation.trainings import chosen
from zoobench.leaderboard import Track, read_tracks
from zoobench.leaderboard.answers import (
    _former_names,
    answers_of,
    content_digest,
    read_answers,
    rows_of,
    write_answers,
)
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.track import zoo_spec
from zoobench.methods.baselines import FlatWeights
from zoobench.methods.sampling import choose_anchors
from zoobench.populations import Population, Tokenizer, rows
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.answers import Answer, Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.reconstruction import Reconstruction
from zoobench.zoo import Zoo
from zoobench.zoo.source import Kind, Source

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
LAYOUT = Layout.of_shapes({"a.weight": (3, 4), "a.bias": (3,)})


def drawn(models: int, epochs: int, seed: int, alike: int = 0) -> Population:
    """Checkpoints with all that a zoo's table has that matters here; at epoch 0 the models of `alike` seeds are one."""
    random = np.random.default_rng(seed)
    weights = torch.from_numpy(random.standard_normal((models, epochs, LAYOUT.size)).astype(np.float32))
    weights[:alike, 0] = weights[0, 0].clone()
    count = models * epochs
    shared = {"dataset": "digits", "train_images": None, "architecture": "cnn_s", "width": 1.0, "image_size": 28}
    same = {"channels": 1, "classes": 10, "init": "x", "optimizer": "adam", "weight_decay": 0.0, "dropout": 0.0}
    table = pd.DataFrame(
        {
            "model_id": np.repeat([f"{seed}-model-{model:03}" for model in range(models)], epochs),
            "epoch": np.tile(np.arange(epochs), models),
            "activation": np.repeat([["tanh", "relu"][model % 2] for model in range(models)], epochs),
            "learning_rate": np.repeat([[0.1, 0.01][model // 2 % 2] for model in range(models)], epochs),
            "seed": np.repeat(np.arange(models), epochs),
            "split": np.repeat([["train", "val", "test"][model % 3] for model in range(models)], epochs),
        }
        | {name: random.random(count) for name in ("train_accuracy", "val_accuracy", "test_accuracy", "test_loss")}
        | {name: [value] * count for name, value in (shared | same | {"batch_size": 32}).items()}
    )
    return Population.of("zoo", Tokenizer.of(LAYOUT, 5), weights.flatten(0, 1), table)


def shuffled(population: Population, seed: int) -> Population:
    """The same checkpoints in another order, and with other measurements, models and hyperparameters."""
    random = np.random.default_rng(seed)
    order, other = random.permutation(len(population)), random.permutation(len(population))
    table = population.table.iloc[order].reset_index(drop=True)
    for name in MEASURED:
        table[name] = table[name].to_numpy()[other]
    return Population.of(population.name, population.tokenizer, population.weights[torch.from_numpy(order)], table)


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_what_a_method_is_given_is_the_same_whatever_is_hidden(models: int, epochs: int, alike: int, seed: int) -> None:
    """To the bit: so neither order nor number nor table says anything but the weights."""
    population = drawn(models, epochs, seed, alike)
    one, other = population.blind(), shuffled(population, seed).blind()
    assert torch.equal(one.weights, other.weights) and np.array_equal(one.splits, other.splits)
    pd.testing.assert_frame_equal(one.table, other.table)
    assert (one.table.nunique(dropna=False) == 1).all() and not MEASURED & set(one.table)
    expected = {hashlib.sha256(row.numpy().tobytes()).hexdigest()[:16] for row in population.weights}
    assert one.names.tolist() == sorted(expected)
    assert len(one) == models * epochs - max(0, min(alike, models) - 1)  # models that began alike are one to it


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_answers_find_back_to_what_they_are_about(models: int, epochs: int, alike: int, seed: int) -> None:
    population = drawn(models, epochs, seed, alike)
    assert torch.equal(population.asked(lambda asked: asked.weights), population.weights)
    first = population.asked(lambda asked: asked.weights[:, 0].numpy())
    assert np.array_equal(first, population.weights[:, 0].numpy())
    for wrong in (population.weights, population.weights[:0]):
        if len(wrong) != len(population.blind()):
            with pytest.raises(InputError, match="let it give one for each"):
                population.asked(lambda asked, wrong=wrong: wrong)


class Spy(FlatWeights):
    """A method that keeps its arguments."""

    def __init__(self) -> None:
        object.__setattr__(self, "given", [])

    def embed(self, population: Population) -> Tensor:
        self.given.append(population)
        return population.weights

    def reconstruct(self, population: Population) -> Tensor:
        self.given.append(population)
        return population.weights


class Seer:
    """A predictor that keeps its arguments."""

    def __init__(self) -> None:
        self.given: list[Population] = []

    def predict(self, known: Any, values: Any, asked: Population) -> Any:
        self.given += [*known, asked]
        return np.resize(values, len(asked))


def given_by_tasks(target: Population) -> Iterator[tuple[str, list[Population]]]:
    """What methods are given that is not theirs to know, by each way there is to be measured."""
    setting = Setting(target, (target,), seed=0)
    for task, method in itertools.product((PropertyPrediction(), PropertyPrediction("sources")), (Spy(), Seer())):
        task.ask(method, setting)
        yield f"{task.name} {type(method).__name__}", method.given


def test_whatever_asks_asks_blind() -> None:
    target = drawn(6, 2, 0)
    for way, seen in given_by_tasks(target):
        assert seen, way
        for population in seen:
            assert not MEASURED & set(population.table), way
        asked = seen if "Seer" not in way else seen[1::2]
        for population in asked:
            assert list(population.names) == sorted(population.names), way
            assert population.table["activation"].isna().all(), way  # it is asked for
            assert set(population.table["split"]) == {"test"}, way


def test_what_is_to_be_reconstructed_is_given_blind(small_board: Board) -> None:
    spy = Spy()
    rows = observed(Reconstruction(), spy, Setting(small_board.population))
    assert len(spy.given) == 2  # copies of them, too
    for seen in spy.given:
        assert list(seen.names) == sorted(seen.names) and not MEASURED & set(seen.table)
    assert (rows["original"] == rows["reconstructed"]).all()


def test_symmetries_are_those_under_each_activation_where_none_is_told(small_board: Board) -> None:
    """Of networks with tanh, units can be flipped too; nobody knows of the others'."""
    population = small_board.population
    told_of, hidden = groups_of(population.blind()), groups_of(population.blind(["activation"]))
    assert hidden and {group.kind for group in hidden} == {"permutation"} < {group.kind for group in told_of}


def test_a_hyperparameter_that_is_asked_for_is_hidden_where_one_model_alone_is_asked_about() -> None:
    target = drawn(4, 2, 1)
    spy = Spy()
    PropertyPrediction().ask(spy, Setting(target, (target,)))
    assert target.split("test").table["activation"].nunique() == 1
    assert all(population.table["activation"].isna().all() for population in spy.given)


def test_nothing_hidden_can_be_reached(small_board: Board) -> None:
    """From populations of every origin: in memory, mapped from a file, chosen from others."""
    tracks = read_tracks(small_board.path)
    recorded = read_references(small_board.path, tracks[0])["digits-a"]
    for source in (small_board.population, recorded):
        asked = source.split("test")
        known = source.table["split"] != "test"
        others = source.select(known)
        assert told(asked, asked.table, others.weights) >= {"a table", "an id", "a measurement", "weights"}
        assert not told(asked.blind(), asked.table, others.weights)
        assert not told([others.known()], asked.table, asked.weights)
        assert not told(others.alone(), asked.table, asked.weights)
        fitted = source.without("test")  # of which the weights may be mapped from a file with the others'
        assert not told(fitted.read_table, asked.table, asked.weights) and len(fitted.table) == known.sum()


def test_anchors_and_what_is_fitted_lead_to_no_test_model(small_board: Board) -> None:
    population = small_board.population
    test = population.split("test")
    anchors = choose_anchors(population, 5)
    assert not told(anchors, test.table, test.weights)
    kind = Kind("digits", "cnn_s", 1.0, 28, None, frozenset(), 0)
    origin = Origin("a", (Source("a", small_board.path, None, (kind,)),), kind)
    for part in chosen(TrainingSet("x", (origin,)), [population], 288).populations:
        assert not told(part.read_table, test.table, test.weights)


def test_large_populations_are_blind_in_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rows, "IN_MEMORY", 100)
    monkeypatch.setattr(rows, "RESIDENT", 300)  # so that pages are given back meanwhile
    population = drawn(9, 4, 3, alike=3)
    blind = population.blind()
    assert blind.rows.file is not None and blind.rows.file.large
    assert torch.equal(population.asked(lambda asked: asked.weights.clone()), population.weights)
    assert not told(blind.weights, population.table, population.weights[:0])
    assert blind.weights.untyped_storage().nbytes() == len(blind) * LAYOUT.size * 4
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"do not fit into the temporary folder .*; set TMPDIR"):
        population.blind()


TEXTS = ("{word}:{model}:{epoch}", "{word}-{model}-{epoch}", "{word}{model}{epoch}", "{word}/{model}/{epoch}")
TEXTS += ("{model}:{epoch}", "{model}-{epoch}", "{model}{epoch}", "{model}_{epoch}", "('{model}', {epoch})", "{model}")


def attacks(ids: list[str], epochs: list[int], words: list[str]) -> set[str]:
    """Names that come of hashing what is public of checkpoints, by whatever construction comes to mind."""
    parts = itertools.product(words, ids, epochs, TEXTS)
    texts = {text.format(word=word, model=model, epoch=epoch) for word, model, epoch, text in parts}
    hashes = (hashlib.sha256, hashlib.sha1, hashlib.md5, hashlib.blake2b, hashlib.sha512)
    return {make(text.encode()).hexdigest()[:16] for text in texts for make in hashes}


def recorded_tracks() -> list[Track]:
    return [track for track in read_tracks(LEADERBOARDS, "two-cores") if track.holds == "predictions"]


@pytest.mark.parametrize("track", recorded_tracks(), ids=lambda track: track.name)
def test_names_cannot_be_made_of_what_is_public_of_models(track: Track) -> None:
    """Neither from the spec nor from the table of training models; the names that there were before could."""
    references = read_references(LEADERBOARDS, track)
    for target, reference in references.items():
        spec = zoo_spec(LEADERBOARDS, target)
        assert isinstance(spec, ZooSpec)
        models = [model.id for model in spec.models()]
        expected = rows_of(track, {target: reference} | references, [0])
        expected = expected[expected["target"] == target]
        assert set(expected["model"]) <= set(models)  # the attack knows all of them
        made = attacks(models, list(spec.saved_epochs), ["checkpoint", track.name, target])
        assert not made & set(expected["checkpoint"]) and made >= _former_names(expected)
        taught = reference.table[reference.table["split"] != "test"]["model_id"]
        assert not attacks([*map(str, taught)], list(range(20)), ["checkpoint"]) & set(expected["checkpoint"])


def test_the_order_of_rows_tells_neither_epoch_nor_accuracy() -> None:
    """Rank correlations over all recorded targets are those of chance; in the order of the table they are not."""
    tracks = recorded_tracks()
    references = {name: zoo for each in tracks for name, zoo in read_references(LEADERBOARDS, each).items()}
    for reference in references.values():
        test = reference.split("test")
        first, _ = test.order
        assert torch.equal(test.blind().weights, test.weights[torch.from_numpy(first)])
        known = test.table[["epoch", "learning_rate", "seed", "test_accuracy"]]
        for name in known.columns[known.nunique() > 1]:  # what is the same of all tells nothing
            assert kendalltau(np.arange(len(first)), known[name].to_numpy()[first]).pvalue > 1e-3
        models = test.table["model_id"].to_numpy()
        beside, apart = ((rows[1:] == rows[:-1]).mean() for rows in (models, models[first]))
        assert test.table["model_id"].is_unique or beside > 0.8 > 0.3 > apart


def exported(board: Board, track: Track, references: dict[str, Population], folder: Path) -> dict[str, Any]:
    """What the files of what is asked hold, and how many bytes they have."""
    zoos = {name: replace(board.population, name=name) for name in references}
    export_data(folder, track, zoos, references, 288, None)
    held: dict[str, Any] = {}
    if (folder / "asked.parquet").exists():
        held["asked"] = (folder / "asked.parquet").read_bytes()
    for path in (folder / "test").iterdir():
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 – no mapping
            held[path.name] = (file.metadata(), tensors, path.stat().st_size)
    return held


@pytest.mark.parametrize("task", ["property_prediction", "reconstruction"])
def test_asked_files_say_nothing_but_weights(task: str, board: Board, tmp_path: Path) -> None:
    """The same whatever was measured of the checkpoints, whichever models they are of, however they lie."""
    track = board.track("property")
    if task == "reconstruction":
        update = {"task": task, "metrics": ("kept",), "settings": {"checkpoints": 99}}
        track = Track(**track.model_dump() | update)
    references = read_references(board.path, track)
    last = {name: _last(each) if task == "reconstruction" else each for name, each in references.items()}
    found = [
        exported(board, track, {name: change(each) for name, each in last.items()}, tmp_path / str(number))
        for number, change in enumerate([lambda each: each, _disguised(1), _disguised(2)])
    ]
    assert found[0] and found[0] == found[1] == found[2]


def _last(population: Population) -> Population:
    """One checkpoint a model, so that all are to be reconstructed whichever they are said to be."""
    return population.select(~population.table.duplicated("model_id"))


def _disguised(seed: int) -> Callable[[Population], Population]:
    """Test checkpoints with others' weights, in another order; all others are unchanged."""

    def change(population: Population) -> Population:
        test, rest = population.split("test"), population.without("test")
        other = shuffled(test, seed)
        table = pd.concat([rest.table, other.table], ignore_index=True)
        return Population.of(population.name, population.tokenizer, torch.cat([rest.weights, other.weights]), table)

    return change


def test_what_is_handed_in_of_reconstruction_is_in_the_order_of_names(board: Board, tmp_path: Path) -> None:
    """And is judged in the order of the models, by whichever way it came."""
    track = Track(**board.track("property").model_dump() | {"task": "reconstruction", "metrics": ("kept",)})
    references = read_references(board.path, track)
    chosen = {name: track.get_task().reads(each) for name, each in references.items()}
    answers: dict[tuple[str, int], Answer] = {
        (name, seed): Weights(chosen[name].weights + seed) for name in references for seed in track.all_seeds
    }
    write_answers(tmp_path / track.artefact, track, references, answers)
    written = load_file(tmp_path / track.artefact)
    assert all(torch.equal(written[f"{name}/0"], each.blind().weights) for name, each in chosen.items())
    again = read_answers(track, references, track.all_seeds, (tmp_path / track.artefact).read_bytes())
    assert content_digest(again) == content_digest(answers)
    (score, *_) = judge(track, references, again, [0], None)
    assert score.mean == 1.0


def test_checkpoints_with_the_same_weights_are_asked_about_once(board: Board) -> None:
    """As models of one seed before their first step; what is said counts for each of them."""
    track = board.track("property")
    population = drawn(9, 2, 5, alike=9)
    references = dict.fromkeys(track.targets, population)
    expected = rows_of(track, references, [0])
    wanted = expected.drop_duplicates(["target", "seed", "checkpoint", "property"])
    assert len(expected) == 2 * 2 * 6 and len(wanted) == 2 * 2 * 4  # three test models, of which two epochs
    numbers = wanted["kind"] == "number"
    table = wanted.assign(
        predicted=np.where(numbers, np.arange(len(wanted)), np.nan),
        predicted_class=np.where(numbers, None, "0.1"),
    )[["target", "seed", "checkpoint", "property", "predicted", "predicted_class"]]
    answers = answers_of("predictions.parquet", table, expected)
    asked = population.split("test").table[["model_id", "epoch"]].itertuples(index=False, name=None)
    about = set(asked)
    for predictions in answers.values():
        answer = predictions.table
        assert set(answer[["model", "epoch"]].itertuples(index=False, name=None)) == about
        began = answer[(answer["epoch"] == 0) & answer["predicted"].notna()]
        assert len(began) == 3 and began["predicted"].nunique() == 1


SPY = """
from zoobench.methods import Method, Unlearned

GIVEN = []

class Spy(Unlearned):
    def embed(self, population):
        GIVEN.append(population)
        return population.weights

    def embed_layers(self, population):
        return self.embed(population)[:, None].expand(-1, len(population.tokenizer.layers), -1)

METHOD = Method("spy", Spy, learns=False)
"""


@pytest.mark.parametrize("layers", [False, True])
def test_embeddings_are_made_blind(layers: bool, run: Run, install: Install, built: Path, tmp_path: Path) -> None:
    """By `zoobench embed`, of a method of another package, which keeps what it is given."""
    install("spy", {"spy": "spying:METHOD"}, spying=SPY)
    path = built / "zoos" / "digits-cnn_s"
    where = ("--home", tmp_path, "--out", tmp_path / "out")
    code, output = run("embed", path, "--model", "spy", *where, *["--layers"] * layers)
    assert code == 0, output
    (file,) = (tmp_path / "out").glob("*.parquet")
    zoo, table = Zoo(path), pd.read_parquet(file)
    seen = sys.modules["spying"].GIVEN
    assert seen and not any(MEASURED & set(population.table) for population in seen)
    checkpoints = zoo.checkpoints.set_index(["model_id", "epoch"])
    keys = list(zip(table["model_id"], table["epoch"], strict=True))
    weights, _ = zoo.weights(checkpoints.loc[keys].reset_index())
    assert np.array_equal(np.stack(table["embedding"].to_list()), weights.numpy())
