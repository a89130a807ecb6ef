"""Verify the entries of leaderboards, existing or proposed ones."""

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
"""Verdicts that do not speak against an entry."""


@dataclass(frozen=True)
class Finding:
    """The result for one entry: its verdict, the reasons, and the seconds that it took.

    verdict: `verified`; `former` if another version of the task scored it; `refused`; `not here` if its artefact lies
    elsewhere and is not fetched; `not judged` if that failed. Proposals other than entries have track and entry "":
    `refused`, or `to look at` by a person. folder: of the entry, None for other proposals.
    """

    track: str
    entry: str
    verdict: Verdict
    reasons: tuple[str, ...]
    seconds: float = 0.0
    folder: Path | None = None

    @property
    def words(self) -> list[str]:
        """Its reasons, one sentence each, with their subject."""
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
    """Recompute the scores of entries from their artefacts, and write them into entries that hold.

    names: tracks, or entries as `track/entry`, all if empty; proposed: another `leaderboards` folder: its differences
    are verified instead, with the tracks of the workspace; fetch: download artefacts that lie elsewhere. Raises
    `InputError` for an unknown name.
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
    """Track and folder of the named entries: a track, `track/entry`, or all if empty. Raises `InputError`."""
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
    """Everything in a track's folder at the place of an entry; hidden ones are still being written."""
    return sorted(path for path in track.iterdir() if path.is_dir() and not path.name.startswith("."))


def audit(
    leaderboards: Path, entries: Sequence[tuple[str, Path]], data_root: Path | None, fetch: bool = False
) -> Iterator[Finding]:
    """Verify entries one after another, each against the track, its other entries, and the entries before it.

    Recomputed scores are written only into the entries that hold.
    """
    before: dict[str, list[Known]] = {}
    for track, folder in entries:
        started = time.monotonic()
        verdict, reasons = _judged(leaderboards, track, folder, data_root, fetch, before.setdefault(track, []))
        yield Finding(track, folder.name, verdict, reasons, time.monotonic() - started, folder)


def _judged(
    leaderboards: Path, track: str, folder: Path, data_root: Path | None, fetch: bool, before: list[Known]
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons; a verified proposal joins those before."""
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
    except InputError as reason:  # not the entry's fault: a damaged reference, missing images
        return "not judged", (str(reason),)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return "not judged", (f"judging it failed ({type(error).__name__}: {quoted(error, 200)})",)
    told = found.told
    try:
        record(folder, found)
    except OSError as error:
        told = (*told, f"the computed scores could not be written ({error.strerror or error})")
    if folder.resolve().parent != (leaderboards / track).resolve():
        before.append(found.known)
    return "verified", told


def _former(track: Track, entry: Entry, folder: Path) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict and reasons for an entry of the board that another version of the task scored: its scores cannot be
    recomputed here, so only its artefact is checked against the entry."""
    path = folder / track.artefact
    if path.exists():
        problems = wrong_artefact(entry, track.artefact, read_plain(path, entry.artefact.bytes))
        if problems:
            return "refused", tuple(problems)
    said = (
        f"version {entry.task_version} of the task {track.task} scored it, and this zoobench has version "
        f"{track.task_version}: its scores stay as they are, apart from the others, and are not recomputed"
    )
    return "former", (said,)


def _check(entry: Entry, folder: Path) -> None:
    """Raise `Refused` for problems that a single submitted entry cannot have."""
    if entry.name != folder.name:
        raise Refused([f"the entry is named '{entry.name}', and lies in the folder '{shown(folder.name)[:80]}'"])
