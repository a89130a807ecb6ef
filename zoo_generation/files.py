"""Write files and folders whole or not at all, here or on a remote store; read JSON with care."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout
from upath import UPath

from zoo_generation.errors import InputError
from zoo_generation.text import printable

SUMS = "SHA256SUMS"
MARK = ".zoobench"
"""File in a folder that zoobench wrote: it lists the other files, and no checksum covers it."""
HARMLESS = {SUMS, ".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that other programs leave in any folder."""

HIDDEN = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # as tempfile names a folder beside a path
LOCK = ".writer.lock"  # in it
OLD = ".old"  # suffix of the folder that is being replaced, in the hidden one, if the system cannot exchange folders
EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2, RENAME_SWAP of macOS's renamex_np
HERE = -100  # AT_FDCWD
GRACE = 0.02  # seconds that a folder that was replaced stays, for readers that are listing it

_known: dict[Path, tuple[tuple[int, ...] | None, str]] = {}  # of files by `known_sha256`

StoragePath = Path | UPath
"""A path on this machine, or under an fsspec URL such as `s3://bucket/zoo`; local ones are always a plain `Path`."""


@contextmanager
def written_aside(path: StoragePath) -> Iterator[Path]:
    """A temporary local path that replaces `path` when the block ends, and is removed if the block fails.

    For a local `path` it is a file beside it that is renamed, and replaces a link too; for a remote one it is uploaded,
    which object stores do whole. Raises `InputError` if `path` is a folder.
    """
    if not isinstance(path, Path):
        with tempfile.TemporaryDirectory() as folder:
            aside = Path(folder) / path.name
            yield aside
            path.fs.put_file(str(aside), path.path)
        return
    if path.is_dir() and not path.is_symlink():
        raise InputError(f"{path} is a folder, and zoobench writes a file there; move it away, or choose another name")
    with beside(path) as aside:
        yield aside
        aside.chmod(0o644)
        aside.replace(path)


@contextmanager
def local_copy(path: StoragePath) -> Iterator[Path]:
    """A local file to read or map: `path` itself, or a copy of a remote one that is removed when the block ends."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        path.fs.get_file(path.path, str(copy))
        yield copy


def files_in(folder: StoragePath, pattern: str) -> list[StoragePath]:
    """The files of a folder that match, sorted by name. A remote store is listed anew, without its client's cache."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()
    return sorted(folder.glob(pattern), key=lambda file: file.name)


@contextmanager
def directory_written_aside(path: Path, *, new: bool = False, marked: bool = True) -> Iterator[Path]:
    """As `written_aside`, for a folder. It replaces one that zoobench wrote to `path` before.

    new: refuse to replace anything; marked: list the files in a `MARK` file, which says that zoobench wrote them (not
    if `new`). If the system can exchange folders, the old or the new one is at `path` at every moment, whole, and two
    writers at once both succeed. Raises `InputError` if `path` holds anything that zoobench did not write.
    """
    _check_replaceable(path, frozenset(), new)
    with beside(path) as aside:
        aside.mkdir()
        yield aside
        written = frozenset(_files(aside))
        if marked and not new:
            (aside / MARK).write_text(json.dumps({"written by zoobench": sorted(written)}) + "\n")
        aside.chmod(0o755)
        _put(aside, path, written, new)


def _put(aside: Path, path: Path, written: frozenset[str], new: bool) -> None:
    """Move a folder to its place, even if others write there at the same time."""
    while True:
        try:
            if not os.path.lexists(path):
                aside.rename(path)
                return
            _check_replaceable(path, written, new)
            exchange(aside, path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY) or not aside.exists():
                raise  # any error but that of another writer being quicker
    try:
        _check_replaceable(aside, written, new)
    except InputError:  # another program put it there in the meantime
        exchange(aside, path)
        raise
    time.sleep(GRACE)


def _check_replaceable(path: Path, written: Set[str], new: bool = False) -> None:
    """Raise `InputError` unless a path is free, or a folder that holds only what zoobench wrote.

    A folder without a mark, as earlier versions left them, may hold only files that are `written` now. While these are
    not known yet, it passes.
    """
    if not os.path.lexists(path):
        return
    if new:
        raise InputError(f"{path} is there already; choose another --out, or delete it")
    if path.is_symlink() or not path.is_dir():
        what = "a link" if path.is_symlink() else "a file"
        raise InputError(f"{path} is {what}, and zoobench writes a folder there; move it away, or choose another")
    marked = _marked(path)
    if marked is None and not written:
        return
    known = {*(written if marked is None else marked), MARK}
    for name in _files(path):
        if name not in known and PurePosixPath(name).name not in HARMLESS:
            raise InputError(
                f"{path} holds '{printable(name)}', which zoobench did not write and would be gone; move it away, or "
                "choose another folder"
            )


def _marked(path: Path) -> set[str] | None:
    """The files that a folder's mark lists; None if it has no mark that can be read."""
    try:
        return set(json.loads((path / MARK).read_text())["written by zoobench"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _files(folder: Path) -> Iterator[str]:
    """Paths, within a folder, of all its files and links. Links are not followed."""
    for root, folders, files in os.walk(folder):
        links = (name for name in folders if (Path(root) / name).is_symlink())
        yield from sorted((Path(root) / name).relative_to(folder).as_posix() for name in (*files, *links))


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path for a file or folder that will replace `path`, in a hidden folder beside it.

    The hidden folder is removed when the block ends, and so are those of killed writers: living ones lock theirs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    hidden, lock = _locked_beside(path)
    try:
        yield hidden / path.name
    finally:
        _remove(hidden, lock)


def _locked_beside(path: Path) -> tuple[Path, FileLock]:
    while True:
        hidden = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        lock = FileLock(hidden / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # it is being swept, since it was not locked yet
            continue
        except OSError:
            if hidden.exists():
                shutil.rmtree(hidden, ignore_errors=True)
                raise
            continue
        if (hidden / LOCK).exists():
            return hidden, lock
        lock.release()


def sweep(folder: Path) -> None:
    """Remove what killed writers to any path in a folder left there."""
    for hidden in folder.glob(".*"):
        if match := HIDDEN.fullmatch(hidden.name):
            _remove_if_left(hidden, folder / match[1])


def _sweep(path: Path) -> None:
    """As `sweep`, for one path."""
    with os.scandir(path.parent) as entries:
        left = [entry.name for entry in entries if entry.name.startswith(f".{path.name}.")]
    for name in left:
        if (match := HIDDEN.fullmatch(name)) and match[1] == path.name:
            _remove_if_left(path.with_name(name), path)


def _remove_if_left(hidden: Path, path: Path) -> None:
    """Remove a hidden folder of `beside` unless its writer lives, and put back what the writer was about to replace."""
    if hidden.is_symlink() or not (hidden / LOCK).is_file():
        with suppress(OSError):
            hidden.rmdir()  # its writer was killed before it could lock it
        return
    lock = FileLock(hidden / LOCK)
    try:
        lock.acquire(timeout=0)
    except (OSError, Timeout):
        return
    try:
        kept = hidden / f"{path.name}{OLD}"
        if kept.exists() and not os.path.lexists(path):
            with suppress(OSError):
                kept.rename(path)
    finally:
        _remove(hidden, lock)


def _remove(hidden: Path, lock: FileLock) -> None:
    """Remove a hidden folder of `beside`, its lock last, because the lock identifies what a kill in between leaves."""
    with suppress(OSError):
        for path in (path for path in hidden.iterdir() if path.name != LOCK):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
    shutil.rmtree(hidden, ignore_errors=True)
    lock.release()
    if hidden.exists():  # on systems that cannot remove open files
        shutil.rmtree(hidden, ignore_errors=True)


def exchange(new: Path, old: Path) -> None:
    """Swap two folders, in one step if the system can, so that one is at `old` at every moment.

    If it cannot, and the new one cannot be moved to `old`, the old one stays there; raises `OSError` then.
    """
    if _exchanged(new, old):
        return
    kept = new.with_name(f"{new.name}{OLD}")
    old.rename(kept)
    try:
        new.rename(old)
    except OSError:
        if not os.path.lexists(old):
            kept.rename(old)
        raise
    kept.rename(new)


def _exchanged(new: Path, old: Path) -> bool:
    """Swap two folders in one step; returns whether the system can do that."""
    if os.name != "posix":
        return False
    library = ctypes.CDLL(None)
    if rename := getattr(library, "renameat2", None):  # Linux
        return bool(rename(HERE, os.fsencode(new), HERE, os.fsencode(old), EXCHANGE) == 0)
    if rename := getattr(library, "renamex_np", None):  # macOS
        return bool(rename(os.fsencode(new), os.fsencode(old), EXCHANGE) == 0)
    return False


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` of the files in a folder, which `sha256sum -c` checks."""
    with written_aside(folder / SUMS) as aside:
        aside.write_text(sums_of(folder))


def sums_of(folder: Path) -> str:
    """The text of a folder's `SHA256SUMS`: one line per file, also in folders within it, hidden ones left out."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    shown = sorted(name for name in files if name != SUMS and not f"/{name}".count("/."))
    return "".join(f"{known_sha256(files[name])}  {name}\n" for name in shown)


def known_sha256(file: Path) -> str:
    """As `sha256_of`, but a file is read again only if it has changed since this process read it."""
    stat = file.stat()
    seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if _known.get(file, (None, ""))[0] != seen:
        _known[file] = (seen, sha256_of(file))
    return _known[file][1]


@contextmanager
def writing_into(path: StoragePath) -> Iterator[None]:
    """Raises `InputError` if something in the block cannot be written: a storage is full or forbidden, a store is
    read-only."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write into {path} ({reason}); choose another --out") from None


def write_json(path: StoragePath, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: StoragePath, what: str) -> dict[str, Any]:
    """Read a JSON object. what: what to call the file in messages. Raises `InputError` if it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):  # RecursionError for endless nesting
        raise InputError(f"{what} {path} is damaged: it is not JSON; restore it or make it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{what} {path} is damaged: it is not a JSON object; restore it or make it again")
    return content


def cache_folder() -> Path:
    """`zoobench` in the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoobench"
