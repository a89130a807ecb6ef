"""One build at a time into a zoo."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, read_json, write_json, writing_into


@contextmanager
def locked(path: StoragePath) -> Iterator[None]:
    """Hold a zoo during a `with` block. Raises `InputError` at once if another process holds it.

    The lock is flock's on `<zoo>/.lock`: the system releases it when the process ends, however it ends, and NFS
    passes it on to other machines. `<zoo>/.builder.json` says who holds it. A remote store has no lock: two builds
    into one zoo waste work there but do no harm, because a part is named by its models and uploaded whole.
    """
    if not isinstance(path, Path):
        yield
        return
    holder = path / ".builder.json"
    lock = FileLock(path / ".lock")
    with writing_into(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{path} is being built by {_who(holder)}; wait until it ends, or choose another --out"
            ) from None
    try:
        write_json(holder, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        told = read_json(holder, "the note of who builds")
    except InputError:  # it has the lock, but has not written the note yet
        return "another process"
    return f"process {told.get('pid')} on {told.get('host')}"
