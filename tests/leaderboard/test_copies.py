"""Copies of entries, of the zoo's models, of each other, of the originals of reconstruction; and what is not a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.submitting import COMMON, ZOOS, Board, artefact, change, judged, read_fields, rewrite, seal
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.symmetry import (
    fingerprint,
    learnable_distance,
    match_closest,
    random_symmetries,
    symmetry_groups,
)
from zoobench.leaderboard import read_entry, read_track
from zoobench.leaderboard.audit import audit
from zoobench.leaderboard.board import add
from zoobench.leaderboard.entry import read_entries
from zoobench.leaderboard.fingerprints import FILE, Fingerprints
from zoobench.leaderboard.marks import Known, marks_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.submission import read_submission
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.answers import Weights

Change = Callable[[Tensor, Population], Tensor]


def moved(weights: Tensor, population: Population) -> Tensor:
    """With units in another order, and of other signs: the same functions."""
    generator = torch.Generator().manual_seed(3)
    index, factor = random_symmetries(population.layout, groups_of(population), len(weights), generator)
    return weights.gather(1, index) * factor


def noisy(weights: Tensor, deviation: float) -> Tensor:
    return weights + deviation * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1))


COPIES: dict[str, Change] = {
    "as it is": lambda weights, _: weights,
    "moved": moved,
    "grown": lambda weights, _: weights * (1 + 1e-7),
    "rounded": lambda weights, _: weights.half().float(),
    "moved, rounded more": lambda weights, of: moved(weights, of).bfloat16().float(),
    "noise": lambda weights, _: noisy(weights, 1e-4),
    "moved, noise": lambda weights, of: noisy(moved(weights, of), 1e-3),
    "in another order": lambda weights, _: weights.flip(0),
}


def hand_in(board: Board, name: str, weights: Tensor, track: str = "generation") -> Path:
    """A submission of these weights, for every target and seed."""
    folder = board.honest.parent / "mine" / name
    shutil.copytree(board.honest / "generation", folder)
    save_file({f"{zoo}/{seed}": weights.contiguous().clone() for zoo in ZOOS for seed in (0, 1)}, artefact(folder))
    change(folder, name=name, track=track, task_version=board.track(track).task_version)
    seal(folder)
    return folder


def marks(board: Board, folder: Path) -> str:
    """What verification marks in a submission, without judging how good its answers are."""
    track = board.track(read_fields(folder)["track"])
    references = read_references(board.path, track)
    others = [
        Known(entry, read_submission(board.path / track.name / entry.name, track, references, fetch=False).answers)
        for entry in read_entries(board.path, track.name)
        if entry.name != read_fields(folder)["name"]
    ]
    answers = read_submission(folder, track, references, fetch=False).answers
    return "; ".join(marks_of(board.path, track, references, answers, others))


def last(board: Board, split: str) -> Tensor:
    """Weights of the last checkpoints of a split's models; of training models without those that are anchors."""
    table = board.population.table
    rows = (table["split"] == split) & (table["epoch"] == table["epoch"].max())
    weights = board.population.weights[rows.to_numpy()]
    earlier = board.earlier["generation"][ZOOS[0], 0]
    assert isinstance(earlier, Weights)
    return weights[torch.cdist(weights, earlier.weights).amin(1) > 0]


@pytest.mark.parametrize("kind", [kind for kind in COPIES if kind != "as it is"])
def test_a_copy_of_an_entry_is_marked_however_it_is_changed(board: Board, kind: str) -> None:
    track = board.track("generation")
    add(board.path, track, hand_in(board, "other", last(board, "val")[:3] * 0.5), None)
    weights = load_file(artefact(board.path / "generation" / "other"))[f"{ZOOS[0]}/0"]
    folder = hand_in(board, "copy", COPIES[kind](weights, board.population))
    count = 4 * len(weights)
    assert f"copy of other ({count} of {count} models)" in marks(board, folder)


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_any_training_model_is_marked_though_its_weights_are_not_in_the_repository(
    board: Board, kind: str
) -> None:
    models = last(board, "train")[:3]
    reference = board.path / "zoos" / ZOOS[0] / "reference" / f"{ZOOS[0]}.parquet"
    assert reference.exists() and len(models) == 3
    folder = hand_in(board, "copy", COPIES[kind](models, board.population))
    assert marks(board, folder) == "copy of a training model (12 of 12 models)"


def test_what_is_between_models_is_no_copy_and_what_is_nearly_one_is(board: Board) -> None:
    """Halfway, and a tenth of the way, to another model is something new; a thousandth of it is not."""
    models = last(board, "train")[:3]
    for share, is_copy in ((0.5, False), (0.25, False), (0.1, False), (0.001, True)):
        mixed = (1 - share) * models + share * models.roll(1, 0)
        found = marks(board, hand_in(board, f"mixed-{share}", mixed))
        assert ("copy of a training model" in found) == is_copy, (share, found)
    assert marks(board, board.honest / "generation") == ""


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), deviation=st.floats(0, 0.05))
def test_a_fingerprint_is_at_most_root_2_as_far_as_the_model_after_matching(
    small_board: Board, seed: int, deviation: float
) -> None:
    population = small_board.population
    groups, layout = groups_of(population), population.layout
    first, second = population.weights[seed % len(population)][None], population.weights[seed % 7][None]
    second = noisy(moved(first if seed % 2 else second, population), deviation)
    apart = learnable_distance(match_closest(second, first[0], layout, groups), first[0], layout)
    prints = [fingerprint(weights, layout, groups) for weights in (first, second)]
    assert float((prints[0] - prints[1]).norm()) <= 2**0.5 * float(apart) + 1e-4


def test_no_two_models_of_a_zoo_are_copies_of_each_other(board: Board) -> None:
    found = Fingerprints.of(board.population)
    apart = torch.cdist(found.prints, found.prints)
    apart[found.models[:, None] == found.models] = torch.inf
    assert float(apart.amin()) > 0.4 * found.spread > 0


def test_equal_models_and_fewer_than_are_asked_are_marked(board: Board) -> None:
    made = noisy(last(board, "train")[:3], 0.1)
    twins = torch.cat([made[:1], noisy(moved(made[:1], board.population), 1e-4), made[1:2]])
    assert marks(board, hand_in(board, "twins", twins)) == "equal to another of its own (8 of 12 models)"
    assert marks(board, hand_in(board, "one", made[:1])) == "1 model where 3 are asked"
    assert marks(board, hand_in(board, "three", made)) == ""


def test_a_test_model_is_marked(board: Board) -> None:
    folder = hand_in(board, "peeks", torch.cat([last(board, "test")[:1], noisy(last(board, "val")[:2], 0.1)]))
    assert marks(board, folder) == "copy of a test model (4 of 12 models)"


def test_without_fingerprints_training_models_are_recognised_and_damaged_ones_are_told(board: Board) -> None:
    anchors = board.earlier["generation"][ZOOS[0], 0].weights
    assert isinstance(anchors, Tensor)
    for zoo in ZOOS:
        (board.path / "zoos" / zoo / FILE).unlink()
    assert "copy of a training model (12 of 12 models)" in marks(
        board, hand_in(board, "a", moved(anchors, board.population))
    )
    assert "copy of a training model (12 of 12 models)" in marks(board, hand_in(board, "b", last(board, "train")[:3]))
    (board.path / "zoos" / ZOOS[0] / FILE).write_bytes(b"damaged")
    (finding,) = audit(board.path, [("generation", board.path / "generation" / "earlier")], None)
    assert finding.verdict == "not judged" and "record the zoo again" in finding.reasons[0]


@pytest.fixture
def reconstructing(board: Board) -> Board:
    """The board with a track of reconstruction."""
    fields = {"task": "reconstruction", "metrics": ["kept"]}
    (board.path / "reconstruction").mkdir()
    (board.path / "reconstruction" / "track.yaml").write_text(yaml.safe_dump(COMMON | fields))
    return board


def test_inputs_that_are_given_back_are_marked_and_what_comes_close_to_them_is_not(reconstructing: Board) -> None:
    board, track = reconstructing, reconstructing.track("reconstruction")
    originals = track.get_task().reads(board.population).weights
    count = 4 * len(originals)
    for kind in ("as it is", "moved", "grown", "rounded", "noise"):
        folder = hand_in(board, f"back-{kind.replace(' ', '-')}", COPIES[kind](originals, board.population), track.name)
        assert f"input given back ({count} of {count} models)" in marks(board, folder), kind
    close = hand_in(board, "close", noisy(originals, 0.01), track.name)
    assert marks(board, close) == ""
    add(board.path, track, close, None)
    assert marks(board, hand_in(board, "also-close", originals + 0.01 * torch.ones(1), track.name)) == ""
    same = noisy(noisy(originals, 0.01), 1e-4)
    assert marks(board, hand_in(board, "same", same, track.name)) == f"copy of close ({count} of {count} models)"
    one = last(board, "train")[:1].expand(len(originals), -1)
    found = marks(board, hand_in(board, "one", one, track.name))
    assert "copy of a training model" in found and f"equal to another of its own ({count} of {count}" in found


NUMBERS = {
    "grown": lambda values: values * (1 + 1e-7),
    "rounded": lambda values: values.round(5),
    "half": lambda values: values.astype(np.float16).astype(float),
    "noise": lambda values: values + 1e-4 * np.random.default_rng(0).normal(size=len(values)),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_copied_predictions_are_marked(board: Board, kind: str) -> None:
    folder = board.honest / "property"
    add(board.path, board.track("property"), folder, None)

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(predicted=NUMBERS[kind](table["predicted"].to_numpy()))

    rewrite(folder, edit)
    change(folder, name="copy")
    assert marks(board, folder) == "copy of honest (4 of 4 predicted columns)"


ROOT = Path(__file__).parents[2]
BENT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grown": lambda values: 2 * values + 1,
    "bent": lambda values: np.cbrt(values),
    "bent, rounded": lambda values: np.cbrt(values).astype(np.float16).astype(float),
}


@pytest.mark.parametrize("kind", [*BENT, "mixed with another"])
def test_the_order_of_predictions_tells_of_a_copy(kind: str, tmp_path: Path) -> None:
    """In a track of the repository. Half of one entry and half of another is no copy."""
    leaderboards, track = tmp_path / "leaderboards", read_track(ROOT / "leaderboards", "property-cross-dataset")
    for name in ("zoos/glyphs-cnn_s", track.name):
        shutil.copytree(ROOT / "leaderboards" / name, leaderboards / name)
    folder = Path(shutil.copytree(leaderboards / track.name / "layer_statistics", tmp_path / "mine"))
    other = pd.read_parquet(leaderboards / track.name / "spectral_statistics" / "predictions.parquet")

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        if kind in BENT:
            return table.assign(predicted=BENT[kind](table["predicted"].to_numpy()))
        keys = ["checkpoint", "property"]
        beside = table[keys].merge(other, on=keys, validate="one_to_one")["predicted"].to_numpy()
        return table.assign(predicted=(table["predicted"].to_numpy() + beside) / 2)

    rewrite(folder, edit)
    change(folder, name="mine", content=None, scores=[])
    found = judged(leaderboards, track, folder, None).marks
    assert found == (("copy of layer_statistics (3 of 3 predicted columns)",) if kind in BENT else ())


def test_entries_of_a_track_of_the_repository_are_no_copies() -> None:
    track, place = read_track(ROOT / "leaderboards", "property-cross-dataset"), "spectral_statistics"
    recorded = judged(ROOT / "leaderboards", track, ROOT / "leaderboards" / track.name / place, None)
    assert recorded.marks == () and recorded == read_entry(ROOT / "leaderboards" / track.name / place)


def test_units_that_are_scaled_are_recognised() -> None:
    """Under relu, where a unit may grow and what reads it shrink: the same function."""
    architecture = get_architecture("cnn_s")
    module = architecture.build(channels=1, classes=10, activation="relu", dropout=0.0, width=1.0).eval()
    layout = Layout.of(module.state_dict())
    groups = symmetry_groups(module, (1, architecture.image_size, architecture.image_size))
    weights = layout.flatten(module.state_dict())[None].detach()
    generator = torch.Generator().manual_seed(0)
    index, factor = random_symmetries(layout, groups, 1, generator, scales=0.5)
    scaled = weights.gather(1, index) * factor
    prints = [fingerprint(each, layout, groups) for each in (weights, scaled, noisy(weights, 0.05))]
    assert any(group.kind == "scale" for group in groups) and float((scaled - weights).norm()) > 1
    assert float((prints[0] - prints[1]).norm()) < 0.01 * float((prints[0] - prints[2]).norm())
