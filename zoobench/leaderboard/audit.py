"""Verify the entries of leaderboards, those that are there or those that somebody proposes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo_generation.errors import InputError, unknown
from zoobench.leaderboard.entry import ENTRY, Entry
from zoobench.leaderboard.refusal import AbsentError, Refused
from zoobench.leaderboard.track import read_track, read_tracks, track_names
from zoobench.leaderboard.verification import verify
from zoobench.text import shown

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


@dataclass(frozen=True)
class Proposal:
    """What differs from a leaderboard: entries, by track and folder, and all else, which a person must look at."""

    entries: list[tuple[str, Path]]
    others: list[str]


def proposal(leaderboards: Path, proposed: Path) -> Proposal:
    """How the folder `proposed` differs from `leaderboards`, file by file, following no link."""
    here, there = _files(leaderboards), _files(proposed)
    changed = {name for name in here.keys() | there.keys() if not _same(here.get(name), there.get(name))}
    tracks, others = set(track_names(leaderboards)), []
    entries: dict[tuple[str, Path], None] = {}
    for name in sorted(changed):
        parts = Path(name).parts
        is_entry = len(parts) == 3 and parts[0] in tracks and (proposed / parts[0] / parts[1] / ENTRY).is_file()
        if is_entry and name in there:
            entries[parts[0], proposed / parts[0] / parts[1]] = None
        else:
            others.append(f"{shown(name)[:120]} is {'removed' if name not in there else 'new or changed'}")
    for track, folder in entries:
        if (leaderboards / track / folder.name).exists():
            others.append(f"{track}/{folder.name} takes the place of an entry")
    return Proposal(list(entries), others)


def _files(folder: Path) -> dict[str, Path]:
    """All that is no folder, by its path within the folder."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the 'leaderboards' of a checkout")
    found = {}
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in [*files, *links]:
            if not name.startswith("."):
                path = Path(root) / name
                found[path.relative_to(folder).as_posix()] = path
    return found


def _same(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None or one.is_symlink() or other.is_symlink():
        return False
    if not one.is_file() or not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return one.read_bytes() == other.read_bytes()


def audit(
    leaderboards: Path, entries: list[tuple[str, Path]], data_root: Path | None, fetch: bool = False
) -> Iterator[Finding]:
    """Verify entries one after another, each against the track and its other entries, and those that came before."""
    before: dict[str, list[Entry]] = {}
    for track, folder in entries:
        started = time.monotonic()
        verdict, reasons = _judged(leaderboards, track, folder, data_root, fetch, before.setdefault(track, []))
        yield Finding(track, folder.name, verdict, reasons, time.monotonic() - started)


def _judged(
    leaderboards: Path, track: str, folder: Path, data_root: Path | None, fetch: bool, before: list[Entry]
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons; what is verified joins those before."""
    try:
        found = verify(leaderboards, read_track(leaderboards, track), folder, data_root, fetch)
        _check(found, folder, before)
    except Refused as refused:
        return "refused", refused.problems
    except AbsentError as absent:
        return "not here", (str(absent),)
    except InputError as reason:  # nothing that the entry could help: a reference that is damaged, images that lack
        return "not judged", (str(reason),)
    before.append(found)
    return "verified", ()


def _check(entry: Entry, folder: Path, before: list[Entry]) -> None:
    """Raise `Refused` for what no entry that is submitted by itself can have wrong."""
    if entry.name != folder.name:
        raise Refused([f"the entry is named '{entry.name}', and lies in the folder '{shown(folder.name)[:80]}'"])
    for other in before:
        if other.content == entry.content:
            raise Refused([f"it holds the same as the entry '{other.name}' of the track"])
