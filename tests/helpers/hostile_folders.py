"""Hostile and broken submissions: each spoils an honest one. Entries and folders."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.submitting import Board, artefact, change, read_fields, seal, write_entry, write_submission

Spoil = Callable[[Path, Board], Path | None]
"""Given an honest submission's folder; what is to be submitted, if not that."""


@dataclass(frozen=True)
class Case:
    """track: of the honest submission; says: what the refusal must."""

    spoil: Spoil
    track: str
    says: str


CASES: dict[str, Case] = {}


def case(says: str, *tracks: str) -> Callable[[Spoil], Spoil]:
    def register(spoil: Spoil) -> Spoil:
        for track in tracks or ("generation",):
            CASES[f"{spoil.__name__}-{track}"] = Case(spoil, track, says)
        return spoil

    return register


def field(case_name: str, says: str, /, **fields: Any) -> None:
    def spoil(folder: Path, board: Board) -> None:
        change(folder, **fields)

    CASES[case_name] = Case(spoil, "property", says)


def text(name: str, content: str, says: str) -> None:
    def spoil(folder: Path, board: Board) -> None:
        (folder / "entry.json").write_text(content)

    CASES[name] = Case(spoil, "property", says)


LONG = "x" * 10_000
for one in ("method", "description", "licence", "compute", "command", "hardware", "name", "track", "date"):
    field(f"huge_{one}", one, **{one: LONG})
    field(f"terminal_codes_in_{one}", one, **{one: "\x1b[31mred\x1b]0;title\x07"})
field("too_much_access", "saw labels, and the track allows weights at most", access="labels")
field("huge_author", "authors", authors=[LONG])
field("many_authors", "authors", authors=["A"] * 1000)
field("huge_version", "versions", versions={"torch": LONG})
field("huge_version_name", "versions", versions={LONG: "1"})
field("text_turned_around", "cannot be seen", method="honest \u202etseb")
field("newline_in_the_name", "name", name="honest\n")
field("path_as_name", "name", name="../../etc/cron.d/x")
field("absolute_path_as_name", "name", name="/etc/passwd")
field("the_tracks_file_as_name", "is the name of another file", name="track.yaml")
field("a_page_as_name", "is the name of another file", name="Index.html")
field("newer_format", "take the version that wrote it", format="zoobench-submission/2")
field("unknown_field", "is not known", rank=1)
field("unknown_field_with_codes", r"\x1b", **{"\x1b[31m": 1})
field("script_as_link", "paper", paper="javascript:alert(1)")
field("data_as_link", "code", code="data:text/html,<script>alert(1)</script>")
field("http_address", "url", artefact={"sha256": "0" * 64, "bytes": 9, "url": "http://example.org/x"})
for number, bad in enumerate(
    ("example.org:99999", "example.org:0", "a..b", "-.org", "x" * 64 + ".org", "example.org:")
):
    field(f"address_{number}", "url", artefact={"sha256": "0" * 64, "bytes": 9, "url": f"https://{bad}/x"})
for bad in ("CON", "aux", "nul.txt", "Com1", "sane.", "sane ", "ｓａｎｅ", "sane\u200b"):
    field(f"the_name_{bad!r}", "name", name=bad)
field("a_name_that_differs_in_case_alone", "cannot be told from 'earlier'", name="EARLIER")
field("negative_seeds", "seeds", seeds=[-1, 0])
field("seed_missing", "", seeds=[0])
field("other_seeds", "the track's are [0, 1] or [0]", seeds=[7, 8])
field("another_tracks_entry", "is of the track 'generation'", track="generation")
field("wrong_sha256", "its SHA-256 differs", artefact={"sha256": "0" * 64, "bytes": 9})
field("more_bytes_than_allowed", "the track allows", artefact={"sha256": "0" * 64, "bytes": 10**12})
field("content_of_another", "content is not that", content="0" * 64)
text("nan_in_the_entry", '{"format": "zoobench-submission/1", "parameters": NaN}', "")
text("deep_nesting", "[" * 100_000, "nested too deeply")
text("deep_nesting_within", '{"format": ' + "[" * 900 + "]" * 900 + "}", "no format")
text("deep_nesting_of_a_field", '{"format": "zoobench-submission/1", "x": ' + '{"a":' * 900 + "1" + "}" * 901, "")
text("huge_number", '{"format": "zoobench-submission/1", "parameters": ' + "9" * 10_000 + "}", "")
text("huge_entry", "{" + " " * 300_000 + "}", "at most 200000")
text("no_object", "[]", "no format")
text("half_a_letter", '{"format": "zoobench-submission/1", "method": "\\ud800"}', "")


@case("is not JSON")
def entry_in_latin1(folder: Path, board: Board) -> None:
    (folder / "entry.json").write_bytes('{"method": "é"}'.encode("latin-1"))


@case("entry.json is a folder")
def entry_as_folder(folder: Path, board: Board) -> None:
    (folder / "entry.json").unlink()
    (folder / "entry.json").mkdir()


@case("entry.json is a link")
def linked_entry(folder: Path, board: Board) -> None:
    (folder / "entry.json").rename(folder.parent / "entry.json")
    (folder / "entry.json").symlink_to(folder.parent / "entry.json")


@case("weights.safetensors is a link")
def linked_artefact(folder: Path, board: Board) -> None:
    artefact(folder).unlink()
    artefact(folder).symlink_to("/dev/zero")


@case("is a link")
def linked_folder(folder: Path, board: Board) -> Path:
    (folder.parent / "linked").symlink_to(folder)
    return folder.parent / "linked"


@case("is no file, but must be a plain file")
def pipe(folder: Path, board: Board) -> None:
    artefact(folder).unlink()
    os.mkfifo(artefact(folder))


@case("must be a plain file")
def pipe_as_submission(folder: Path, board: Board) -> Path:
    os.mkfifo(folder.parent / "pipe")
    return folder.parent / "pipe"


@case("may hold only")
def file_name_with_newline(folder: Path, board: Board) -> None:
    (folder / "a\nb\x1b[31m.txt").write_text("")


@case("may hold only")
def many_files(folder: Path, board: Board) -> None:
    for number in range(2000):
        (folder / f"{number}").touch()


@case("is missing")
def nothing(folder: Path, board: Board) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@case("cannot read")
def no_folder(folder: Path, board: Board) -> Path:
    return folder.parent / "none"


@case("gives no address for it")
def artefact_missing(folder: Path, board: Board) -> None:
    artefact(folder).unlink()


@case("has 100 bytes", "generation", "property")
def cut_short(folder: Path, board: Board) -> None:
    artefact(folder).write_bytes(artefact(folder).read_bytes()[:100])


@case("may hold only", "generation", "property")
def another_tracks_artefact(folder: Path, board: Board) -> None:
    other = "property" if folder.name == "generation" else "generation"
    artefact(folder).unlink()
    shutil.copy(artefact(board.honest / other), folder)


@case("judging its artefact gives", "generation", "property")
def inflated_scores(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score | {"mean": score["mean"] + 0.01})


@case("judging its artefact gives")
def inflated_bounds(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score | {"high": 1.0})


@case("judging its artefact gives")
def scores_swapped_between_seeds(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score | {"values": score["values"][::-1]})


@case("one per seed")
def scores_of_more_seeds(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score | {"values": score["values"] * 2})


@case("which the track does not have")
def scores_of_another_metric(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score | {"metric": "best"})


@case("but none of")
def scores_left_out(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score)
    change(folder, scores=read_fields(folder)["scores"][1:])


@case("a score twice")
def scores_twice(folder: Path, board: Board) -> None:
    _claim(folder, board, lambda score: score)
    change(folder, scores=[*read_fields(folder)["scores"], read_fields(folder)["scores"][0]])


def _claim(folder: Path, board: Board, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    entry = board.entries[read_fields(folder)["track"]].model_dump(mode="json")
    write_entry(folder, entry | {"scores": [edit(score) for score in entry["scores"]]})


@case("has the same content as the entry 'earlier'", "generation", "property")
def copy_of_an_entry(folder: Path, board: Board) -> None:
    for path in (board.path / folder.name / "earlier").iterdir():
        shutil.copy(path, folder)
    change(folder, name="copy", method="Mine")


@case("has the same content as the entry 'earlier'", "generation", "property")
def copy_written_otherwise(folder: Path, board: Board) -> None:
    track = board.track(folder.name)
    shutil.rmtree(folder)
    outcomes = dict(reversed(board.earlier[track.name].items()))
    write_submission(folder, track, outcomes)
    if track.holds == "weights":
        content = artefact(folder).read_bytes()
        length = int.from_bytes(content[:8], "little")
        artefact(folder).write_bytes(
            struct.pack("<Q", length + 8) + content[8 : 8 + length] + b" " * 8 + content[8 + length :]
        )
    seal(folder)
