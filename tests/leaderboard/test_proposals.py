"""A pull request may bring entries, with the numbers that verification computes, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run
from helpers.submitting import Board, artefact, change, fingerprint, judged, read_fields, seal
from safetensors.torch import load_file, save_file

from zoobench.leaderboard import Board as Leaderboard
from zoobench.leaderboard import read_entry
from zoobench.leaderboard.audit import audit
from zoobench.leaderboard.board import add
from zoobench.leaderboard.proposal import proposal


@pytest.fixture
def proposed(board: Board, tmp_path: Path) -> Path:
    """A copy of the board's leaderboards, to be changed."""
    return Path(shutil.copytree(board.path, tmp_path / "proposed"))


def test_a_claim_within_the_tolerance_is_compared_and_never_kept(board: Board, proposed: Path) -> None:
    """A copy of the leading entry times 1 + 1e-7, that claims a little more, is a marked copy with its own numbers."""
    track = board.track("generation")
    place = add(board.path, track, board.honest / "generation", None)
    leads = read_entry(place)
    folder = Path(shutil.copytree(place, proposed / "generation" / "copy"))
    weights = {name: each * (1 + 1e-7) for name, each in load_file(artefact(place)).items()}
    save_file(weights, artefact(folder))
    change(folder, name="copy", content=None, date="2020-01-01")
    seal(folder)
    computed = judged(board.path, track, folder, None)
    scores = [score | {"mean": score["mean"] + 0.9 * track.tolerance} for score in computed.fields()["scores"]]
    change(folder, scores=scores, marks=["novel"], fresh=None)
    before = fingerprint(board.path)
    (finding,) = audit(board.path, proposal(board.path, proposed).entries, None)
    assert finding.verdict == "verified" and any("claims other scores" in reason for reason in finding.reasons)
    written = read_entry(folder)
    assert written.scores == computed.scores and fingerprint(board.path) == before
    assert any(mark.startswith("copy of honest (") for mark in written.marks) and "novel" not in written.marks
    shutil.copytree(folder, board.path / "generation" / "copy")
    places = {entry.name: place for place, entry in Leaderboard.read(board.path, track).ranked()}
    assert places["honest"] == 1 and places["copy"] is None
    assert leads.marks == ()
    for finding in audit(
        board.path, [("generation", board.path / "generation" / name) for name in ("honest", "copy")], None
    ):
        assert finding.verdict == "verified"
    assert read_entry(place).marks == (), "whatever date the copy says, it stays the copy"
    assert read_entry(board.path / "generation" / "copy") == written


Strays = Callable[[Path], object]


def _write(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _copied(folder: Path, name: str) -> None:
    shutil.copytree(folder / "earlier", folder / name)


REFUSED: dict[str, tuple[Strays, str]] = {
    "hidden file of an entry": (lambda at: _write(at / "property/earlier/.DS_Store"), "it is hidden"),
    "other file of an entry": (lambda at: _write(at / "property/earlier/notes.txt"), "may hold only"),
    "folder in an entry": (lambda at: _write(at / "property/earlier/more/x.txt"), "may hold only"),
    "hidden file of a track": (lambda at: _write(at / "property/.DS_Store"), "it is hidden"),
    "hidden folder": (lambda at: _write(at / ".git/config"), "it is hidden"),
    "file of a track": (lambda at: _write(at / "property/notes.txt"), "holds track.yaml and a folder for each entry"),
    "file of no track": (lambda at: _write(at / "notes.txt"), "it belongs to no track"),
    "other case": (lambda at: _copied(at / "property", "EARLIER"), "cannot be told from 'earlier' beside it"),
    "wide letters": (lambda at: _copied(at / "property", "ｅarlier"), "letters from A to Z"),
    "other track in case": (lambda at: _write(at / "Property/track.yaml"), "cannot be told from"),
    "device": (lambda at: _copied(at / "property", "CON"), "is a device on Windows"),
    "device, small": (lambda at: _copied(at / "property", "aux"), "is a device on Windows"),
    "device, with an ending": (lambda at: _copied(at / "property", "nul.txt"), "is a device on Windows"),
    "dot behind": (lambda at: _copied(at / "property", "earlier."), "ends with a dot"),
    "blank behind": (lambda at: _copied(at / "property", "earlier "), "letters from A to Z"),
    "escape code": (lambda at: _write(at / "property/earlier/\x1b[31m"), "letters from A to Z"),
    "folder that is a link": (lambda at: (at / "property/linked").symlink_to("earlier"), "a link leads elsewhere"),
    "file that is a link": (lambda at: (at / "zoos/linked").symlink_to("/etc/passwd"), "a link leads elsewhere"),
    "artefact that is a link": (
        lambda at: [
            artefact(at / "property/earlier").unlink(),
            artefact(at / "property/earlier").symlink_to(at / "generation/earlier/weights.safetensors"),
        ],
        "a link leads elsewhere",
    ),
    "artefact removed": (lambda at: artefact(at / "property/earlier").unlink(), "gives no address for it"),
    "pipe": (lambda at: os.mkfifo(at / "property/pipe"), "holds track.yaml and a folder for each entry"),
    "entry that is a pipe": (
        lambda at: [(at / "property/earlier/entry.json").unlink(), os.mkfifo(at / "property/earlier/entry.json")],
        "must be a plain file",
    ),
    "folders in folders": (lambda at: (at / ("d/" * 200)).mkdir(parents=True), "nested more than 20 deep"),
    "sparse entry of gigabytes": (
        lambda at: os.truncate(at / "property/earlier/entry.json", 2**33),
        "may have at most 200000",
    ),
    "sparse artefact of gigabytes": (
        lambda at: os.truncate(artefact(at / "property/earlier"), 2**33),
        "may have at most",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_entry_is_refused_in_a_sentence(run: Run, board: Board, proposed: Path, name: str) -> None:
    spoil, says = REFUSED[name]
    spoil(proposed)
    home = board.path.parent / "home"
    shutil.copytree(board.path, home / "leaderboards")
    code, output = run("leaderboard", "verify", "--proposed", proposed, "--home", home)
    assert code == 2 and says in output and "Traceback" not in output
    assert "\x1b[31m" not in output and fingerprint(home / "leaderboards") == fingerprint(board.path)


def test_what_a_person_must_look_at_is_told(board: Board, proposed: Path) -> None:
    (proposed / "property" / "track.yaml").open("a").write("\n")
    shutil.rmtree(proposed / "property" / "earlier")
    artefact(proposed / "generation" / "earlier").chmod(0o755)
    _write(proposed / "newer" / "track.yaml")
    _write(board.path / "property" / ".aside" / "entry.json")
    found = proposal(board.path, proposed)
    assert found.strays == [] and found.others == [
        "generation/earlier/weights.safetensors has another mode",
        "newer/track.yaml is new or changed",
        "property/earlier/entry.json is removed",
        "property/earlier/predictions.parquet is removed",
        "property/track.yaml is new or changed",
        "generation/earlier takes the place of an entry",
    ]
    assert [(track, folder.name) for track, folder in found.entries] == [("generation", "earlier")]


def test_one_damaged_entry_ends_the_verification_of_no_other(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    track = board.path / "generation"
    for name in ("cut", "nested", "pipe", "lacks"):
        shutil.copytree(track / "earlier", track / name)
    (track / "cut" / "entry.json").write_text('{"format": ')
    (track / "nested" / "entry.json").write_text("[" * 10**5)
    (track / "pipe" / "entry.json").unlink()
    os.mkfifo(track / "pipe" / "entry.json")
    artefact(track / "lacks").unlink()
    change(track / "lacks", name="lacks", content="0" * 64)
    names = sorted(path.name for path in track.iterdir() if path.is_dir())
    found = list(audit(board.path, [("generation", track / name) for name in names], None))
    assert {finding.entry: finding.verdict for finding in found} == dict.fromkeys(names, "refused") | {
        "earlier": "verified"
    }
    assert all(len(finding.reasons) and "\n" not in reason for finding in found for reason in finding.reasons)

    def broken(*_: object) -> None:
        raise RuntimeError("expected scalar type")

    monkeypatch.setattr("zoobench.leaderboard.verification.judge", broken)
    (finding,) = audit(board.path, [("generation", track / "earlier")], None)
    assert finding.verdict == "not judged" and "expected scalar type" in finding.reasons[0]


def test_names_in_a_damaged_folder_are_told_as_text(run: Run, board: Board) -> None:
    home = board.path.parent / "home"
    shutil.copytree(board.path, home / "leaderboards")
    shutil.copytree(home / "leaderboards/property/earlier", home / "leaderboards/property/\x1b[31mred")
    code, output = run("leaderboard", "verify", "property", "--home", home)
    assert code == 2 and "\x1b[31mred" not in output and "1 verified" in output
    code, output = run("leaderboard", "show", "property", "--json", "--home", home)
    assert code == 0 and json.loads(output)[0]["name"] == "earlier"
    assert read_fields(home / "leaderboards" / "property" / "earlier")["name"] == "earlier"
