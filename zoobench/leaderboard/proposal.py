"""The differences of a proposed folder to a leaderboard: its entries, and everything else that it brings."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo_generation.errors import InputError
from zoo_generation.text import quoted
from zoobench.leaderboard.track import track_names
from zoobench.leaderboard.untrusted.files import folded, portable

TRACK = "track.yaml"
DEEPEST = 20
"""Largest depth of nested folders; three is normal."""


@dataclass(frozen=True)
class Proposal:
    """The differences to a leaderboard.

    entries: by track and folder; strays: files that no proposal may bring, one sentence each; others: changes that a
    person must look at, likewise.
    """

    entries: list[tuple[str, Path]]
    strays: list[str]
    others: list[str]


def proposal(leaderboards: Path, proposed: Path) -> Proposal:
    """The differences of the folder `proposed` to `leaderboards`, file by file, with hidden ones, following no link.

    Hidden files of `leaderboards` itself are still being written. Raises `InputError` if there is no such folder.
    """
    here, there = _files(leaderboards), _files(proposed)
    tracks = set(track_names(leaderboards))
    entries: dict[tuple[str, Path], None] = {}
    strays: list[str] = []
    others: list[str] = []
    for name in sorted(here.keys() | there.keys()):
        old, new = here.get(name), there.get(name)
        parts = PurePosixPath(name).parts
        if (new is None and any(part.startswith(".") for part in parts)) or _same(old, new):
            continue
        is_entry = parts[0] in tracks and len(parts) > 2
        folder = proposed.joinpath(*parts[:2])
        said = f"{quoted(name, 120)} {_how(old, new)}"
        if new is None:
            others.append(said)
        elif problem := _unwanted(new, old, parts, tracks):
            strays.append(f"{said}: {problem}; remove it")
        elif not is_entry or _differ_in_mode(old, new):
            others.append(said)
        if is_entry and folder.is_dir() and not folder.is_symlink():
            entries[parts[0], folder] = None
    for track, folder in entries:
        if (leaderboards / track / folder.name).exists():
            others.append(f"{track}/{quoted(folder.name)} takes the place of an entry")
    return Proposal(list(entries), strays + _alike(here, there), others)


def _files(folder: Path) -> dict[str, Path]:
    """Everything but folders, by its path within the folder."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the 'leaderboards' of a checkout")
    found = {}
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in [*files, *links]:
            path = Path(root) / name
            found[path.relative_to(folder).as_posix()] = path
        within = Path(root).relative_to(folder)
        if len(within.parts) >= DEEPEST and folders:
            raise InputError(f"folders are nested more than {DEEPEST} deep in {folder}: {quoted(within)}; remove them")
    return found


def _unwanted(new: Path, old: Path | None, parts: tuple[str, ...], tracks: set[str]) -> str | None:
    """Why a new or changed file is not allowed, as a clause."""
    if problem := next(filter(None, map(portable, parts)), None):
        return problem
    if new.is_symlink():
        return "a link leads elsewhere"
    if any(part.startswith(".") for part in parts):
        return "it is hidden"
    if old is None and len(parts) == 1:
        return "it belongs to no track"
    if old is None and parts[0] in tracks and len(parts) == 2:
        return f"a track's folder holds {TRACK} and a folder for each entry"
    return None


def _alike(here: dict[str, Path], there: dict[str, Path]) -> list[str]:
    """Proposed names that some system or a reader cannot tell from others beside them."""
    known: dict[tuple[str, str], str] = {}
    found: dict[str, None] = {}
    for name in [*sorted(here), *sorted(there)]:
        path = PurePosixPath(name)
        for part in [path, *path.parents][:-1]:
            first = known.setdefault((str(part.parent), folded(part.name)), part.name)
            if first != part.name and name in there:
                said = f"{quoted(part, 120)} cannot be told from '{quoted(first)}' beside it; choose another name"
                found[said] = None
    return list(found)


def _same(old: Path | None, new: Path | None) -> bool:
    if old is None or new is None or _differ_in_mode(old, new):
        return False
    if not old.is_file() or not new.is_file() or old.stat().st_size != new.stat().st_size:
        return False
    return old.read_bytes() == new.read_bytes()


def _differ_in_mode(old: Path | None, new: Path) -> bool:
    """Whether the type of a file changed, or it became executable; new files must not be executable."""
    modes = [stat.S_IFREG if path is None else path.lstat().st_mode for path in (old, new)]
    return stat.S_IFMT(modes[0]) != stat.S_IFMT(modes[1]) or bool((modes[0] ^ modes[1]) & 0o111)


def _how(old: Path | None, new: Path | None) -> str:
    if new is None:
        return "is removed"
    if old is None or not _differ_in_mode(old, new):
        return "is new or changed"
    return "has another mode" if not new.is_symlink() else "is a link now"
