"""Open the files of a folder that nobody vouches for: plain ones that lie in it, whatever links and pipes there are."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from zoobench.zoo.importers.tolerance import RejectedError

FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
TEXT = 64 << 20  # bytes of a configuration, of results or of a table, at most


def open_inside(file: Path, root: Path) -> BinaryIO:
    """Open a plain file that lies in the folder `root`, be it through links that stay in it.

    Raises `RejectedError` where it lies elsewhere, is missing, or is no plain file, such as a pipe, which might never
    end; OSError where it cannot be read.
    """
    try:
        place = file.resolve()
        within = place.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null character, a loop of links
        within = False
    if not within:
        raise RejectedError(f"its {file.name!r:.100} leads out of the folder, and is not read")
    if not place.exists():
        raise RejectedError(f"its file {file.name:.100} is missing")
    handle = -1
    try:
        if place.is_file():  # a device may do something when it is opened
            handle = os.open(place, FLAGS)
        if handle < 0 or not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RejectedError(f"its {file.name!r:.100} is no plain file, and is not read")
        opened, handle = os.fdopen(handle, "rb"), -1
        return opened
    finally:
        if handle >= 0:
            os.close(handle)


def read_inside(file: Path, root: Path, most: int = TEXT) -> bytes:
    """The content of a plain file in the folder `root`; raises as `open_inside`, also beyond `most` bytes."""
    with open_inside(file, root) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > most:
            raise RejectedError(f"its {file.name!r:.100} has {size:,} bytes, and may have at most {most:,}")
        return opened.read(most)
