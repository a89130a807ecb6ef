"""The machine that work runs on: the cores that it gives, how threads wait for each other there, what it refuses."""

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
"""Errors of the operating system that are the machine's: of a disk that is full, read-only, someone else's, broken."""
WORDS = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)} | {
    "file write failed": errno.ENOSPC
}
"""As libraries tell them that are not written in Python: safetensors, Arrow, PyTorch's archives."""
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
"""As PyTorch tells it, beside Python's own `MemoryError`."""

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Cores that this process may use, at least one: those it is bound to, less where a control group gives fewer."""
    return max(1, min([_bound(), *map(int, _quotas())]))


def _bound() -> int:
    """Cores that this process is bound to (`taskset`, Slurm, `docker --cpuset-cpus`)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Cores that the control groups above this process give it, of versions 1 and 2."""
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
    """The quota that files of a control group hold, in cores; nothing where they are not there, or hold none."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (float(word) for file in files for word in file.read_text().split())
        if quota > 0:
            yield quota / period


def settle_threads() -> None:
    """Say how threads wait and how many there are, where the user has not: called before PyTorch is imported.

    Threads that wait in turns of a busy loop take the cores from those that they wait for, as soon as other work runs
    beside them. OpenMP knows of the cores a process is bound to, and not of a control group's quota. How busy the
    machine is does not count: results depend on the number of threads in their last bits.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if cores() < _bound():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


def check_writable(folder: Path) -> None:
    """Raise `InputError` where nothing can be written to a folder, there or still to be made: before work is lost."""
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
    """What the machine refused, and what to do, in one sentence; None where an error says nothing of that kind."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or any(words in str(seen) for words in OUT_OF_MEMORY):
            return f"the memory of this machine is too small for what was asked ({quoted(seen, 100)}); ask for less"
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
