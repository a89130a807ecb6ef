"""Ray during a block: a private one of this process, closed to everyone else, or a cluster that answers."""

from __future__ import annotations

import _thread
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from zoo_generation.errors import InputError
from zoo_generation.machine import cores

OBJECT_STORE_BYTES = 512 * 2**20  # of a local cluster: only datasets of uint8 images go there
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # if it is 0, Ray listens on the loopback only, on Linux too
NICE = "RAY_worker_niceness"  # 15 by default: beside other work, workers would get a thirtieth of a core
QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}

PREFIX = "zbray-"
ROOM = 64 * 2**20  # bytes, for Ray's logs
REMOVAL_SECONDS = 5  # given to the last of Ray's processes to end
LOCK = "lock"  # in a temporary folder, held by the process that uses it
SOCKET_BYTES = 107  # of the path of a Unix socket, at most
SOCKET = (
    "zbray-12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"  # the longest that Ray makes
)

HEAD_SECONDS = 45  # a cluster's head may be gone this long and come back; after 60 Ray ends the process
NODE_SECONDS = 3  # the node here may be gone this long; after 10 Ray ends the process
LOST = (
    "Ray stopped during the work: its head or its part on this machine was ended or lost; run the same command "
    "again, on a running cluster: it goes on from there"
)
CONNECT_SECONDS = 5  # for a machine to accept a connection
ANSWER_SECONDS = 20  # for Ray to answer there
CONNECT = """
import logging, os, sys
try:
    import ray
    ray.init(address=sys.argv[1], logging_level=logging.CRITICAL, log_to_driver=False)
except BaseException as error:
    print(error or type(error).__name__, flush=True)
    os._exit(1)
os._exit(0)
"""  # in a process of its own, because Ray tries for a quarter of an hour, and ends its process when it gives up


@contextmanager
def local_ray(ray: Any, workers: int | None) -> Iterator[None]:
    """Ray on this machine with `workers` cores (None: all), for this process alone.

    It listens on the loopback only, asks for a secret token, has no dashboard, and keeps its files in its own folder
    with a short path, which is removed in the end. Tokens in the user's environment are respected.
    """
    with _temporary_folder() as folder, _closed():
        try:
            ray.init(
                address="local",
                num_cpus=workers or cores(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder / "r"),  # which Ray opens to all users; the folder around it stays closed
                **QUIET,
            )
        except OSError as error:
            raise InputError(
                f"Ray cannot start in {folder} ({error.strerror or error}); set TMPDIR to a folder with room"
            ) from None
        with _watched(ray):
            yield


@contextmanager
def remote_ray(ray: Any, address: str) -> Iterator[None]:
    """A cluster. Raises `InputError` if none answers within seconds, and if it ends while the block runs."""
    _forget_token()
    _answers(address)
    try:
        ray.init(address=address, **QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_answer(address, str(error)) from None
    with _watched(ray):
        yield


@contextmanager
def _watched(ray: Any) -> Iterator[None]:
    """Ray that is shut down when the block ends. Raises `InputError` if it goes down before.

    If Ray loses one of two parts, it ends the process that uses it. So a thread watches whether these parts still
    listen, and interrupts the block a little earlier, or ends the process itself with a sentence.
    """
    if ray.util.client.ray.is_connected():  # by ray://, where all of Ray is elsewhere
        try:
            yield
        finally:
            ray.shutdown()
        return
    here = ray.get_runtime_context()
    node = next((each for each in ray.nodes() if each["NodeID"] == here.get_node_id()), None)
    parts = {"head": (urlsplit(f"//{here.gcs_address}"), HEAD_SECONDS)}
    if node is not None:
        parts["node"] = (urlsplit(f"//{node['NodeManagerAddress']}:{node['NodeManagerPort']}"), NODE_SECONDS)
    ended, lost = threading.Event(), threading.Event()

    def watch() -> None:
        heard = dict.fromkeys(parts, time.monotonic())
        while not ended.wait(1):
            for part, (place, patience) in parts.items():
                with suppress(OSError):
                    socket.create_connection((place.hostname, place.port), timeout=1).close()
                    heard[part] = time.monotonic()
                if time.monotonic() - heard[part] > patience:
                    lost.set()
                    _thread.interrupt_main()
                    if not ended.wait(NODE_SECONDS):  # it waits for Ray within Ray, where no interrupt comes
                        sys.stderr.write(f"\nError: {LOST}\n")
                        sys.stderr.flush()
                        os._exit(2)
                    return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise InputError(LOST) from None
        raise
    finally:
        ended.set()
        ray.shutdown()


def _answers(address: str) -> None:
    """Raise `InputError` if no cluster answers at an address within seconds."""
    if address != "auto":
        try:
            socket.create_connection(_host_and_port(address), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise _no_answer(address, error.strerror or str(error)) from None
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", CONNECT, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        raise _no_answer(address, f"no Ray said anything within {ANSWER_SECONDS} seconds") from None
    if done.returncode != 0:
        raise _no_answer(address, done.stdout)


def _host_and_port(address: str) -> tuple[str, int]:
    """Of `host:port` or `ray://host:port`; raises `InputError` for anything else."""
    with suppress(ValueError):
        parts = urlsplit(f"//{address.removeprefix('ray://')}")
        if parts.hostname and parts.port and parts.netloc == address.removeprefix("ray://") and "@" not in parts.netloc:
            return parts.hostname, parts.port
    raise InputError(f"'{address}' is not the address of a Ray cluster; give host:port, ray://host:port, or auto")


def _no_answer(address: str, reason: str) -> InputError:
    first = (reason.strip() or "it said nothing").splitlines()[0]
    return InputError(
        f"no Ray cluster answers at '{address}' ({first}); start one with 'ray start --head', or give neither "
        "--ray-address nor RAY_ADDRESS to work on this machine alone"
    )


@cache
def _token() -> str:
    """This process's own: Ray keeps the first that it has read."""
    return secrets.token_hex(32)


def _forget_token() -> None:
    """Let Ray look for the token of a cluster, even if this process has had a Ray of its own before."""
    if os.environ.get("RAY_AUTH_TOKEN") == _token():
        from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # of Cython

        del os.environ["RAY_AUTH_TOKEN"]
        AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _closed() -> Iterator[None]:
    """Set the environment for a block so that Ray starts closed to others, and its workers get our own priority.

    The token stays longer than the block.
    """
    from ray._private import ray_constants

    names = (LOOPBACK, NICE, "GLOO_SOCKET_IFNAME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.setdefault(LOOPBACK, "0")
    os.environ.setdefault(NICE, "0")
    if sys.platform == "linux":  # the address where PyTorch's workers that share a training listen
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = _token()  # else in a file; it stays, because Ray keeps it
    was, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False  # read when Ray was imported
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A private folder of this user, with a short path for sockets, removed in the end.

    Folders of killed processes are removed first.
    """
    parent = _short_parent()
    for folder in parent.glob(f"{PREFIX}*"):
        _sweep(folder)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    with FileLock(folder / LOCK):
        try:
            yield folder
        finally:
            _remove(folder)


def _short_parent() -> Path:
    """The temporary folder, or a folder with a short path if the temporary one's is too long for sockets."""
    with suppress(OSError):
        tempfile.gettempdir()
    chosen = [os.environ.get("RAY_TMPDIR"), tempfile.tempdir]
    for parent in (*chosen, "/tmp", "/var/tmp", "/dev/shm"):
        short = parent is not None and len(os.fsencode(f"{parent}/{SOCKET}")) <= SOCKET_BYTES
        if parent and short and os.access(parent, os.W_OK | os.X_OK) and shutil.disk_usage(parent).free >= ROOM:
            return Path(parent)
    raise InputError("no temporary folder has a short path, room, and leave to write; set TMPDIR to one")


def _sweep(folder: Path) -> None:
    """Remove a temporary folder whose process was killed."""
    with suppress(OSError, Timeout):
        if folder.stat().st_uid == os.getuid() and (folder / LOCK).exists():
            with FileLock(folder / LOCK, timeout=0):
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder in which processes may still be writing their last lines."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
