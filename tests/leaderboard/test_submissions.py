"""Submissions from anyone: honest ones are accepted unchanged, others are refused and change nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.hostile_artefacts import CASES, with_extension
from helpers.submitting import TRACKS, Board, artefact, change, fingerprint, judged, rewrite, seal, write_submission
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from zoo_generation.errors import InputError
from zoobench.leaderboard import read_entry
from zoobench.leaderboard.answers import content_digest, read_answers
from zoobench.leaderboard.board import add
from zoobench.leaderboard.entry import parse_entry
from zoobench.leaderboard.judging import as_spelled
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.submission import most_bytes, wrong_artefact
from zoobench.leaderboard.untrusted.archive import pack
from zoobench.leaderboard.untrusted.files import Refused
from zoobench.leaderboard.untrusted.parquet import Chunk, check_pages
from zoobench.tasks.answers import Answer, Predictions, Weights
from zoobench.tasks.base import Setting


def one_sentence(error: InputError) -> str:
    text = str(error)
    assert text and text.isprintable() and len(text) < 700, text
    return text


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_submission_is_refused(name: str, board: Board) -> None:
    case = CASES[name]
    before = fingerprint(board.path)
    path = case.spoil(board.honest / case.track, board) or board.honest / case.track
    with pytest.raises(InputError) as caught:
        add(board.path, board.track(case.track), path, None)
    one_sentence(caught.value)
    problems = getattr(caught.value, "problems", (str(caught.value),))
    assert any(case.says in problem for problem in problems), problems
    assert fingerprint(board.path) == before
    assert not Path("/tmp/zoobench-was-here").exists()


def test_these_are_many() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", TRACKS)
def test_an_honest_submission_is_taken_with_the_scores_that_its_task_gives(name: str, board: Board) -> None:
    track = board.track(name)
    entry = board.entries[name]
    for score in entry.scores:
        outcomes = [board.outcomes[name][score.target, seed] for seed in track.all_seeds]
        observed = [track.get_task().judge(each, Setting(board.population, seed=0)) for each in outcomes]
        expected = [track.get_task().score(each)[score.metric].value() for each in observed]
        assert score.values == pytest.approx(expected, abs=1e-6)
        assert score.mean == pytest.approx(np.mean(expected), abs=1e-6)
    assert {(score.target, score.metric) for score in entry.scores} == {
        (target, metric) for target in track.targets for metric in track.metrics
    }
    assert judged(board.path, track, board.honest / name, None) == entry
    place = add(board.path, track, board.honest / name, None)
    assert place == board.path / name / "honest" and read_entry(place) == entry
    assert artefact(place).read_bytes() == artefact(board.honest / name).read_bytes()
    assert judged(board.path, track, place, None) == entry  # it is no copy of itself, and claims what is true
    moved = shutil.copytree(place, place.parent / "other")
    with pytest.raises(Refused, match="lies in the folder 'other'"):
        judged(board.path, track, moved, None)


@pytest.mark.parametrize("name", TRACKS)
def test_a_zip_is_as_its_folder(name: str, board: Board, tmp_path: Path) -> None:
    track = board.track(name)
    most = most_bytes(track, read_references(board.path, track))
    for zipped in (tmp_path / "one.zip", tmp_path / "two.zip"):
        pack(board.honest / name, most, zipped)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert judged(board.path, track, tmp_path / "one.zip", None) == board.entries[name]


def test_one_seed_is_enough_where_a_method_knows_no_chance(board: Board, tmp_path: Path) -> None:
    outcomes = {key: outcome for key, outcome in board.outcomes["property"].items() if key[1] == 0}
    folder = write_submission(tmp_path / "one", board.track("property"), outcomes)
    assert all(score.std is None for score in judged(board.path, board.track("property"), folder, None).scores)


@pytest.mark.parametrize("spelling", ["{:.4f}", "{:e}", "{:.17g}", "+{:.3f}00", "{:.1f}E-3"])
def test_classes_that_are_numbers_are_compared_as_numbers(spelling: str, board: Board) -> None:
    expected = board.entries["property"]

    def spelled(text: str) -> str:
        value = float(text) * (1000 if "E-3" in spelling else 1)
        return spelling.format(value)

    rewrite(
        board.honest / "property",
        lambda of: of.assign(predicted_class=of["predicted_class"].map(spelled, na_action="ignore")),
    )
    found = judged(board.path, board.track("property"), board.honest / "property", None)
    assert (found.content, found.scores) == (expected.content, expected.scores)


@pytest.mark.parametrize(
    ("name", "given", "fits"),
    [
        ("batch_size", "32.0", "32"),
        ("batch_size", "3.20e1", "32"),
        ("batch_size", "32.5", None),
        ("batch_size", "33", None),
        ("optimizer", "adam", "adam"),
        ("optimizer", "ADAM", None),
        ("weight_decay", "-0", "0.0"),
        ("init", " kaiming_uniform", None),
        ("init", "kaiming_uniform", "kaiming_uniform"),
    ],
)
def test_a_class_is_one_that_there_is(name: str, given: str, fits: str | None, board: Board) -> None:
    """Of whatever property, of those that models have by the specs of the track's zoos."""
    track = board.track("property").model_copy(update={"metrics": (f"accuracy:{name}",)})
    references = read_references(board.path, track)
    rows = pd.DataFrame({"property": [name], "predicted_class": [given]})
    answers = {("digits-a", 0): Predictions(rows)}
    if fits is None:
        with pytest.raises(Refused, match=f"'{given}' is not among the classes of {name}: "):
            as_spelled(board.path, track, references, answers)
    else:
        (found,) = as_spelled(board.path, track, references, answers).values()
        assert isinstance(found, Predictions) and found.table["predicted_class"].tolist() == [fits]


def test_markup_is_text(board: Board) -> None:
    script = "<script>alert('1')</script>[red]&"
    fields = dict.fromkeys(("method", "description", "compute", "command", "hardware", "licence"), script)
    folder = board.honest / "property"
    change(folder, **fields, authors=[script], versions={script: script}, code='https://x.org/"><script>')
    place = add(board.path, board.track("property"), folder, None)
    entry = read_entry(place)
    assert {getattr(entry, name) for name in fields} == {script}
    assert entry.authors == (script,) and entry.versions == {script: script}


def test_types_that_a_parquet_file_tells_of_run_nothing(board: Board) -> None:
    """An extension type with a pickle in it: it is read as the text that it is stored as."""
    expected = board.entries["property"]
    with_extension(artefact(board.honest / "property"))
    seal(board.honest / "property")
    found = judged(board.path, board.track("property"), board.honest / "property", None)
    assert (found.content, found.scores) == (expected.content, expected.scores)
    assert not Path("/tmp/zoobench-was-here").exists()


def header(kind: int, size: int, packed: int, count: int, encoding: int) -> bytes:
    """A page's header, as Thrift's compact protocol has it."""

    def number(value: int) -> bytes:
        value, out = value << 1, bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    body = b"\x15" + number(count) + b"\x15" + number(encoding) + b"\x15\x06\x15\x06\0"
    return b"\x15" + number(kind) + b"\x15" + number(size) + b"\x15" + number(packed) + b"\x2c" + body + b"\0"


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({}, None),
        ({"size": 2**31 - 1}, "claims"),
        ({"count": 2**31 - 1}, "claims"),
        ({"count": 7}, "hold 7 values"),
        ({"encoding": 7}, "neither plain"),
        ({"packed": 41}, "longer than its column"),
        ({"kind": 9}, "no header of a data page"),
    ],
)
def test_what_pages_claim_is_checked_before_it_is_believed(claims: dict[str, int], says: str | None) -> None:
    page = header(**{"kind": 0, "size": 40, "packed": 40, "count": 8, "encoding": 0} | claims)
    content = b"PAR1" + page + bytes(40)
    chunks = [Chunk(8, 4, len(content))]
    if says is None:
        check_pages(content, chunks, 1000)
        return
    with pytest.raises(ValueError, match=says):
        check_pages(content, chunks, 1000)


@pytest.mark.parametrize("name", TRACKS)
@given(data=st.data())
@settings(max_examples=100)
def test_bytes_that_change_are_refused_or_are_another_submission(
    small_board: Board, name: str, data: st.DataObject
) -> None:
    track = small_board.track(name)
    references = read_references(small_board.path, track)
    folder = small_board.honest / name
    content = artefact(folder).read_bytes()
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 300) | st.integers(-1200, -1))
        changed[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del changed[data.draw(st.integers(0, len(content))) :]
    entry = parse_entry((folder / "entry.json").read_bytes())
    if changed != content:
        assert wrong_artefact(entry, track.artefact, bytes(changed))
    try:
        answers = read_answers(track, references, entry.seeds, bytes(changed))
    except InputError as error:
        one_sentence(error)
        return
    assert {*answers} == {*small_board.outcomes[name]}
    if content_digest(answers) != small_board.entries[name].content:
        assert all(is_sound(answer) for answer in answers.values())


def is_sound(answer: Answer) -> bool:
    if isinstance(answer, Weights):
        return bool(torch.isfinite(answer.weights).all()) and answer.weights.shape == (3, 2464)
    assert isinstance(answer, Predictions)
    table, numbers = answer.table, answer.table["predicted"].notna()
    return bool((numbers ^ table["predicted_class"].notna()).all() and np.isfinite(table["predicted"][numbers]).all())


def test_extreme_weights_are_judged(board: Board) -> None:
    """Whatever is read is judged without an error: zeros, and the largest that may be."""
    folder, track = board.honest / "generation", board.track("generation")
    for value in (0.0, 1e10, -1e10):
        weights = {name: torch.full_like(each, value) for name, each in load_file(artefact(folder)).items()}
        save_file(weights, artefact(folder))
        seal(folder)
        assert judged(board.path, track, folder, None).scores
    rewrite(board.honest / "property", lambda of: of.assign(predicted=of["predicted"] * 0 + 1e10))
    assert judged(board.path, board.track("property"), board.honest / "property", None).scores
