"""Read untrusted files with bounded effort: never through a link, never more than allowed, and only once."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from zoo_generation.errors import InputError
from zoo_generation.names import RESERVED
from zoo_generation.text import quoted

MOST_PROBLEMS = 50
"""Most problems to keep; a file may have one per byte."""


class Refused(InputError):  # noqa: N818, the outcome's name
    """A submission is refused. problems: one sentence each; the message is the first, and how many more there are."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))[:MOST_PROBLEMS]
        super().__init__(self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - 1
        return self.problems[0] + (f" (and {more} more)" if more else "")


class AbsentError(InputError):
    """An artefact is only at an address and was not fetched: the entry is neither verified nor refused."""


FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

KINDS = {
    b"PAR1": "Parquet",
    b"PK": "a zip archive, as torch.save writes them",
    b"\x80": "a pickle, which is never opened",
    b"\x1f\x8b": "gzip",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "a NumPy array",
    b"ARROW1": "an Arrow file",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with 'git lfs pull'",
    b"<": "a page of HTML or XML",
    b"{": "JSON",
}


PORTABLE = re.compile(r"[A-Za-z0-9._+-]+")


def portable(name: str) -> str | None:
    """Why a name cannot be a file's name on every system, as a clause; None if it can."""
    if not PORTABLE.fullmatch(name):
        return f"'{quoted(name)}' may hold letters from A to Z, digits and . _ + - only"
    if RESERVED.fullmatch(name):
        return f"'{name[:80]}' is a device on Windows"
    if name.endswith("."):
        return f"'{name[:80]}' ends with a dot, which Windows takes away"
    return None


def folded(name: str) -> str:
    """Equal for names that some system, or some reader, takes for the same."""
    return unicodedata.normalize("NFKC", name).casefold().rstrip(" .")


def kind_of(content: bytes) -> str:
    """The type of a file by its first bytes, in words."""
    if not content:
        return "empty"
    if content[8:9] == b"{" and content[5:8] == b"\0\0\0":
        return "safetensors"
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), "something else")


def check_folder(folder: Path, allowed: Collection[str]) -> None:
    """Raise `Refused` unless this is a real folder with only plain files of these names."""
    try:
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no folder"
            raise Refused([f"{quoted(folder, 300)} is {what}; a submission is a real folder, or a zip file of one"])
        with os.scandir(folder) as entries:
            found = list(islice(entries, len(allowed) + 5))  # of a million files, five are enough to tell
    except OSError as error:
        raise Refused([f"cannot read {quoted(folder, 300)} ({error.strerror or error})"]) from None
    wanted = " and ".join(sorted(allowed))
    problems = [
        f"it holds '{quoted(entry.name)}', but may hold only {wanted}; remove it"
        for entry in sorted(found, key=lambda entry: entry.name)
        if entry.name not in allowed
    ]
    for entry in found:
        if entry.name in allowed and not entry.is_file(follow_symlinks=False):
            kind = "a link" if entry.is_symlink() else "a folder" if entry.is_dir(follow_symlinks=False) else "no file"
            problems.append(f"{entry.name} is {kind}, but must be a plain file")
    if problems:
        raise Refused(problems)


def open_plain(path: Path, most: int) -> BinaryIO:
    """Open a plain file of at most `most` bytes: not a link, nor a pipe, which might never end. Raises `Refused`."""
    name = quoted(path.name)
    try:
        handle = os.open(path, FLAGS)
    except FileNotFoundError:
        raise Refused([f"{name} is missing"]) from None
    except OSError as error:
        raise Refused([f"{name} cannot be read, or is a link ({error.strerror or error})"]) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise Refused([f"{name} must be a plain file"])
    if status.st_size > most:
        os.close(handle)
        raise Refused([f"{name} has {status.st_size} bytes, but may have at most {most}"])
    return os.fdopen(handle, "rb")


def read_plain(path: Path, most: int) -> bytes:
    """The content of a plain file of at most `most` bytes. Raises `Refused`."""
    with open_plain(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused([f"{quoted(path.name)} grows while it is read, beyond {most} bytes"])
    return content
