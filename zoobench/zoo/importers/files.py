"""Open files of an untrusted folder: only plain files inside it, never through links that leave it, or pipes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
ROWS = 100_000  # of results, at most
TEXT = 32 << 20  # bytes of a configuration or of results, at most: JSON may take twenty times as much in memory


class RejectedError(Exception):
    """A model or checkpoint cannot be imported and is left out; the message is the reason, as a clause."""


_FOLDER: ContextVar[Path | None] = ContextVar("_FOLDER", default=None)


@contextmanager
def only_within(folder: Path) -> Iterator[None]:
    """Files that this thread opens with `open_inside` must be in that folder."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def open_inside(file: Path) -> BinaryIO:
    """Open a plain file of the folder that `only_within` names, else of its own; links may not leave that folder.

    Raises `RejectedError` if it is elsewhere, is missing, or is not a plain file, such as a pipe, which might never
    end; OSError if it cannot be read.
    """
    try:
        place = file.resolve()
        within = place.is_relative_to((_FOLDER.get() or file.parent).resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null character, a loop of links
        within = False
    if not within:
        raise RejectedError(f"its {file.name!r:.100} leads out of the folder, and is not read")
    if not place.exists():
        raise RejectedError(f"its file {file.name:.100} is missing")
    handle = -1
    try:
        if place.is_file():  # opening a device may have effects
            handle = os.open(place, FLAGS)
        if handle < 0 or not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RejectedError(f"its {file.name!r:.100} is not a plain file, and is not read")
        opened, handle = os.fdopen(handle, "rb"), -1
        return opened
    finally:
        if handle >= 0:
            os.close(handle)


def read_inside(file: Path, most: int = TEXT) -> bytes:
    """The content of a file of at most `most` bytes, opened and refused as by `open_inside`."""
    with open_inside(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > most:
            raise RejectedError(f"its {file.name!r:.100} has {size:,} bytes, but may have at most {most:,}")
        return opened.read(most)
