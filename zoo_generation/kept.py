"""Kept results of expensive work: folders with checksums. Damaged ones are made again, and the user is told."""

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
    """Something that can save itself to a folder, such as a fitted method."""

    def save(self, path: Path) -> None: ...


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """A folder that replaces `path` when the block ends, with checksums of its files."""
    with directory_written_aside(path) as aside:
        yield aside
        write_sums(aside)


def save(piece: Savable, path: Path, beside: Mapping[str, Any] | None = None) -> None:
    """Save a piece and its checksums to `path`. beside: contents of JSON files to put beside it, by name."""
    with sealed(path) as aside:
        piece.save(aside / "saved")
        for file in (aside / "saved").iterdir():
            file.replace(aside / file.name)
        (aside / "saved").rmdir()
        for name, content in (beside or {}).items():
            write_json(aside / name, content)


def is_kept(path: Path) -> bool:
    """Whether the piece is there, intact. A damaged one is removed, so that it is made again, and the user is told."""
    if not path.exists() and not path.is_symlink():
        return False
    if _fits(path) or _fits(path):  # another process may have replaced it between two looks
        return True
    tell(f"{path} is not what was written, and is made again")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return False


def kept(path: Path, read: Callable[[Path], Piece]) -> Piece | None:
    """The kept piece; None if it has to be made, see `is_kept`."""
    return read(path) if is_kept(path) else None


def check(path: Path, what: str, again: str) -> None:
    """Raise `InputError` if a folder is not as it was written.

    what: what to call it, such as `the token set`; again: what the user should do.
    """
    if not _fits(path):
        raise InputError(f"{what} {path} is damaged: its files are not those of its {SUMS}; {again}")


def tell(sentence: str) -> None:
    """Print a sentence on standard error, since it is not part of a command's output."""
    print(shown(sentence), file=sys.stderr)


def _fits(path: Path) -> bool:
    """Whether a folder holds exactly the files that its checksums name, unchanged."""
    try:
        return (path / SUMS).read_text() == sums_of(path)
    except (OSError, UnicodeDecodeError):
        return False
