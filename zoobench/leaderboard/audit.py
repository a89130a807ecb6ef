"""Verify the entries of leaderboards, those that are there or those that somebody proposes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo_generation.errors import InputError, unknown
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import quoted, shown
from zoobench.leaderboard.entry import Entry, read_entry
from zoobench.leaderboard.marks import Known
from zoobench.leaderboard.proposal import Proposal, proposal
from zoobench.leaderboard.submission import wrong_artefact
from zoobench.leaderboard.track import Track, read_track, read_tracks
from zoobench.leaderboard.untrusted.files import AbsentError, Refused, read_plain
from zoobench.leaderboard.verification import is_within, record, verified
from zoobench.zoo.workspace import Workspace

Verdict = Literal["verified", "former", "refused", "not here", "not judged", "to look at"]

GOOD: tuple[Verdict, ...] = ("verified", "former", "not here", "to look at")
"""Verdicts that speak against nothing."""


@dataclass(frozen=True)
class Finding:
    """What came of one entry: its verdict, why, and how many seconds that took.

    verdict: `verified`; `former` if another version of the task scored it; `refused`; `not here` if its artefact lies
    elsewhere and is not fetched; `not judged` if that failed. What is proposed besides entries has the track and entry
    "": `refused`, or `to look at` by a person. folder: where the entry lies, None for what is none.
    """

    track: str
    entry: str
    verdict: Verdict
    reasons: tuple[str, ...]
    seconds: float = 0.0
    folder: Path | None = None

    @property
    def words(self) -> list[str]:
        """Its reasons, one sentence each, which say what they are of."""
        said = {"refused": "Refused", "to look at": "For a person to look at"}
        of = f"{self.track}/{shown(self.entry)[:80]}" if self.entry else said[self.verdict]
        return [f"{of}: {reason}" for reason in self.reasons]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict in GOOD


def verify(
    names: Sequence[str],
    workspace: Workspace,
    *,
    proposed: Path | None = None,
    fetch: bool = False,
    progress: Progress = QUIET,
) -> list[Finding]:
    """Compute the scores of entries anew from what they hold, and write what was computed into those that hold.

    names: tracks, or entries as `track/entry`, all if there are none; proposed: another `leaderboards` folder, of which
    what differs is verified instead, by the tracks of the workspace; fetch: download artefacts that lie elsewhere.
    Raises `InputError` for a name that is not known.
    """
    leaderboards = workspace.leaderboards
    if proposed is not None and names:
        raise InputError(f"{', '.join(names)} was given with --proposed, which verifies all that differs; give one")
    of = Proposal(entries_of(leaderboards, names), [], []) if proposed is None else proposal(leaderboards, proposed)
    step, found = progress.stage("verifying"), list[Finding]()
    for finding in audit(leaderboards, of.entries, workspace.data_root, fetch):
        found.append(finding)
        step(len(found), len(of.entries))
    found += [Finding("", "", "refused", (stray,)) for stray in of.strays]
    return found + [Finding("", "", "to look at", (other,)) for other in of.others]


def entries_of(leaderboards: Path, names: Sequence[str]) -> list[tuple[str, Path]]:
    """Track and folder of the entries named: a track, `track/entry`, or all if none are; raises `InputError`."""
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
    leaderboards: Path, entries: Sequence[tuple[str, Path]], data_root: Path | None, fetch: bool = False
) -> Iterator[Finding]:
    """Verify entries one after another, each against the track and its other entries, and those that came before.

    What was computed is written into the entries that hold, which claims of scores are compared with, and no more.
    """
    before: dict[str, list[Known]] = {}
    for track, folder in entries:
        started = time.monotonic()
        verdict, reasons = _judged(leaderboards, track, folder, data_root, fetch, before.setdefault(track, []))
        yield Finding(track, folder.name, verdict, reasons, time.monotonic() - started, folder)


def _judged(
    leaderboards: Path, track: str, folder: Path, data_root: Path | None, fetch: bool, before: list[Known]
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons; what is proposed and verified joins those before."""
    try:
        of = read_track(leaderboards, track)
        if is_within(leaderboards, of, folder) and (entry := read_entry(folder)).task_version != of.task_version:
            return _former(of, entry, folder)
        found = verified(leaderboards, of, folder, data_root, fetch, before)
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


def _former(track: Track, entry: Entry, folder: Path) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons for an entry of the board that another version of the task scored: that cannot be done again
    here, so that only its artefact is compared with what it tells of."""
    path = folder / track.artefact
    if path.exists():
        problems = wrong_artefact(entry, track.artefact, read_plain(path, entry.artefact.bytes))
        if problems:
            return "refused", tuple(problems)
    said = (
        f"version {entry.task_version} of the task {track.task} scored it, and this zoobench has version "
        f"{track.task_version}: its scores stay as they are, apart from the others, and are not computed anew"
    )
    return "former", (said,)


def _check(entry: Entry, folder: Path) -> None:
    """Raise `Refused` for what no entry that is submitted by itself can have wrong."""
    if entry.name != folder.name:
        raise Refused([f"the entry is named '{entry.name}', and lies in the folder '{shown(folder.name)[:80]}'"])
