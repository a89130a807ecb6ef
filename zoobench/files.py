"""Files that are never half-written, on this machine or on a remote store, and JSON that is read with care."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upath import UPath

from zoo_generation.errors import InputError

SUMS = "SHA256SUMS"

_known: dict[Path, tuple[tuple[int, ...] | None, str]] = {}  # of files by `known_sha256`

StoragePath = Path | UPath
"""A path on this machine, or under an fsspec URL such as `s3://bucket/zoo`; local ones are always a plain `Path`."""


@contextmanager
def written_aside(path: StoragePath) -> Iterator[Path]:
    """A temporary local path that takes the place of `path` when the block ends, and vanishes where it fails.

    It lies beside a local `path` and is renamed; for a remote one it is uploaded, which object stores do whole.
    """
    if not isinstance(path, Path):
        with tempfile.TemporaryDirectory() as folder:
            aside = Path(folder) / path.name
            yield aside
            path.fs.put_file(str(aside), path.path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def local_copy(path: StoragePath) -> Iterator[Path]:
    """A local `path` itself, to be memory-mapped; of a remote one, a copy that lasts as long as the block."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        path.fs.get_file(path.path, str(copy))
        yield copy


def files_in(folder: StoragePath, pattern: str) -> list[StoragePath]:
    """The files of a folder that match, sorted; a remote store is asked anew, not its client's cache."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()
    return sorted(folder.glob(pattern), key=lambda file: file.name)


@contextmanager
def directory_written_aside(path: Path) -> Iterator[Path]:
    """As `written_aside`, for a directory; one that stands at `path` already is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield aside
        aside.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` of the files in a folder, as `sha256sum` does, and checks it with `-c`."""
    with written_aside(folder / SUMS) as aside:
        aside.write_text(sums_of(folder))


def sums_of(folder: Path) -> str:
    """What `SHA256SUMS` says of a folder as it is: a line for each file, also in folders within, but hidden ones."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    shown = sorted(name for name in files if name != SUMS and not f"/{name}".count("/."))
    return "".join(f"{known_sha256(files[name])}  {name}\n" for name in shown)


def known_sha256(file: Path) -> str:
    """As `sha256_of`; a file that is as it was when this process read it is not read again."""
    stat = file.stat()
    seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if _known.get(file, (None, ""))[0] != seen:
        _known[file] = (seen, sha256_of(file))
    return _known[file][1]


def write_json(path: StoragePath, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: StoragePath, what: str) -> dict[str, Any]:
    """A JSON object; raises `InputError`, saying `what` the file should have been, where it is none."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror or error}") from None
    except ValueError:
        raise InputError(f"{what} {path} is damaged: it is not JSON; restore it or make it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{what} {path} is damaged: it holds no JSON object; restore it or make it again")
    return content
