"""Pieces of work that are kept: folders with checksums. What does not fit them any more is made again, and told."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from zoo_generation.errors import InputError
from zoo_generation.files import SUMS, directory_written_aside, sums_of, write_json, write_sums
from zoo_generation.text import shown

Piece = TypeVar("Piece")


class Savable(Protocol):
    """What writes itself to a directory, as a fitted method does."""

    def save(self, path: Path) -> None: ...


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """A folder that takes the place of `path`, with the checksums of its files, when the block ends."""
    with directory_written_aside(path) as aside:
        yield aside
        write_sums(aside)


def save(piece: Savable, path: Path, beside: Mapping[str, Any] | None = None) -> None:
    """Keep what the piece writes, and JSON files `beside` it, by their names."""
    with sealed(path) as aside:
        piece.save(aside / "saved")
        for file in (aside / "saved").iterdir():
            file.replace(aside / file.name)
        (aside / "saved").rmdir()
        for name, content in (beside or {}).items():
            write_json(aside / name, content)


def is_kept(path: Path) -> bool:
    """Whether the piece is there; one that is not what was written is removed, so that it is made again, and told."""
    if not path.exists() and not path.is_symlink():
        return False
    if _fits(path) or _fits(path):  # where another process puts its own in place, the second look is at that
        return True
    tell(f"{path} is not what was written, and is made again")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return False


def kept(path: Path, read: Callable[[Path], Piece]) -> Piece | None:
    """The piece as it is kept; None where it is to be made, see `is_kept`."""
    return read(path) if is_kept(path) else None


def check(path: Path, what: str, again: str) -> None:
    """Raise `InputError` where a folder is not what was written.

    what: it is, for the sentence; again: what the user is to do.
    """
    if not _fits(path):
        raise InputError(f"{what} {path} is damaged: its files are not those of its {SUMS}; {again}")


def tell(sentence: str) -> None:
    """Say something that is no part of a command's output, on standard error."""
    print(shown(sentence), file=sys.stderr)


def _fits(path: Path) -> bool:
    """Whether a folder's files are those that its checksums name, and no others."""
    try:
        return (path / SUMS).read_text() == sums_of(path)
    except (OSError, UnicodeDecodeError):
        return False
