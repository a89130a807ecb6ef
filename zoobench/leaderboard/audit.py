"""Verify the entries of leaderboards, those that are there or those that somebody proposes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo_generation.errors import InputError, unknown
from zoo_generation.text import quoted, shown
from zoobench.leaderboard.entry import Entry
from zoobench.leaderboard.marks import Known
from zoobench.leaderboard.track import read_track, read_tracks
from zoobench.leaderboard.untrusted.refusal import AbsentError, Refused
from zoobench.leaderboard.verification import record, verified

Verdict = Literal["verified", "refused", "not here", "not judged"]


@dataclass(frozen=True)
class Finding:
    """What came of one entry: its verdict, why, and how long that took."""

    track: str
    entry: str
    verdict: Verdict
    reasons: tuple[str, ...]
    seconds: float


def entries_of(leaderboards: Path, names: list[str]) -> list[tuple[str, Path]]:
    """Track and folder of the entries named: a track, `track/entry`, or all where none are; raises `InputError`."""
    tracks = [track.name for track in read_tracks(leaderboards)]
    found = []
    for name in names or tracks:
        track, _, entry = name.partition("/")
        if track not in tracks:
            raise unknown("track", track, tracks)
        there = {folder.name: folder for folder in _folders(leaderboards / track)}
        if entry and entry not in there:
            raise unknown(f"entry of {track}", entry, there)
        found += [(track, folder) for key, folder in there.items() if entry in ("", key)]
    return found


def _folders(track: Path) -> list[Path]:
    """Whatever lies in a track's folder as an entry does; what is hidden is being written."""
    return sorted(path for path in track.iterdir() if path.is_dir() and not path.name.startswith("."))


def audit(
    leaderboards: Path, entries: list[tuple[str, Path]], data_root: Path | None, fetch: bool = False
) -> Iterator[Finding]:
    """Verify entries one after another, each against the track and its other entries, and those that came before.

    What was computed is written into the entries that hold, which claims of scores are compared with, and no more.
    """
    before: dict[str, list[Known]] = {}
    for track, folder in entries:
        started = time.monotonic()
        verdict, reasons = _judged(leaderboards, track, folder, data_root, fetch, before.setdefault(track, []))
        yield Finding(track, folder.name, verdict, reasons, time.monotonic() - started)


def _judged(
    leaderboards: Path, track: str, folder: Path, data_root: Path | None, fetch: bool, before: list[Known]
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons; what is proposed and verified joins those before."""
    try:
        found = verified(leaderboards, read_track(leaderboards, track), folder, data_root, fetch, before)
        _check(found.entry, folder)
    except Refused as refused:
        return "refused", refused.problems
    except AbsentError as absent:
        return "not here", (str(absent),)
    except InputError as reason:  # nothing that the entry could help: a reference that is damaged, images that lack
        return "not judged", (str(reason),)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return "not judged", (f"judging it failed ({type(error).__name__}: {quoted(error, 200)})",)
    told = found.told
    try:
        record(folder, found)
    except OSError as error:
        told = (*told, f"what was computed could not be written ({error.strerror or error})")
    if folder.resolve().parent != (leaderboards / track).resolve():
        before.append(found.known)
    return "verified", told


def _check(entry: Entry, folder: Path) -> None:
    """Raise `Refused` for what no entry that is submitted by itself can have wrong."""
    if entry.name != folder.name:
        raise Refused([f"the entry is named '{entry.name}', and lies in the folder '{shown(folder.name)[:80]}'"])
