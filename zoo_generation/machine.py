"""The machine: its cores, how threads wait for each other, and errors such as a full disk in plain words."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.text import quoted

REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ESTALE),
)
"""Errors of the operating system that are not bugs: a disk that is full, read-only, someone else's, or broken."""
WORDS = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)} | {
    "file write failed": errno.ENOSPC
}
"""The same errors as text, from libraries that are not written in Python: safetensors, Arrow, PyTorch's archives."""
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
"""PyTorch's messages when memory runs out."""

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """How many cores this process may use, at least one: those it is bound to, or fewer if a control group says so."""
    return max(1, min([_bound(), *map(int, _quotas())]))


def _bound() -> int:
    """How many cores this process is bound to (by `taskset`, Slurm, `docker --cpuset-cpus`)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Quotas of the control groups above this process, versions 1 and 2, in cores."""
    with suppress(OSError, ValueError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            within = Path(path.lstrip("/"))
            if "cpu" in controllers.split(","):
                mounts, files = (CGROUPS / "cpu", CGROUPS / controllers), ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            elif not controllers:
                mounts, files = (CGROUPS, CGROUPS / "unified"), ["cpu.max"]
            else:
                continue
            for mount in mounts:
                for group in (within, *within.parents):
                    yield from _quota(*(mount / group / file for file in files))


def _quota(*files: Path) -> Iterator[float]:
    """The quota in a control group's files, in cores; nothing if there are no such files, or no quota."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (float(word) for file in files for word in file.read_text().split())
        if quota > 0:
            yield quota / period


def settle_threads() -> None:
    """Set how OpenMP's threads wait and how many there are, unless the user did. Call it before importing PyTorch.

    Threads that wait in a busy loop take cores from the threads they wait for, as soon as other work runs beside them.
    OpenMP knows how many cores a process is bound to, but not a control group's quota. How busy the machine is does not
    matter here, because the last bits of results depend on the number of threads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if cores() < _bound():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


def check_writable(folder: Path) -> None:
    """Raise `InputError` if a folder cannot be written to, whether or not it exists yet: before work is lost."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise InputError(
            f"nothing can be written to {quoted(there, 300)} ({error.strerror or error}); make room, give access, or "
            "choose another folder"
        ) from None


def refusal(error: BaseException) -> str | None:
    """One sentence on what the machine refused and what to do; None if the error is of another kind."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or any(words in str(seen) for words in OUT_OF_MEMORY):
            return f"this machine has too little memory for what was asked ({quoted(seen, 100)}); ask for less"
        number = seen.errno if isinstance(seen, OSError) and seen.errno in REFUSALS else None
        number = number or next((WORDS[words] for words in WORDS if words in str(seen)), None)
        if number is not None:
            paths = [str(path) for path in (getattr(seen, "filename", None), getattr(seen, "filename2", None)) if path]
            where = f"at {quoted(paths[-1], 300)} " if paths else ""
            return (
                f"the machine refused to read or write {where}({os.strerror(number).lower()}); make room or give "
                "access, and run the same command again"
            )
        seen = seen.__cause__ or seen.__context__
    return None
