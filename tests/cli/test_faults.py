"""Faults, injected for real into builds as users run them: the same command again makes the zoo that nothing befell.

Minutes, so only where asked for: python -m pytest -m faults -n 0
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from cli.test_cli import assert_same_zoo

from zoobench.zoo import ZooSink

pytestmark = pytest.mark.faults

MODELS = 32  # in four shards
ZOO = [
    *("--datasets=digits", "--learning-rate=0.001", f"--seeds={MODELS}", "--epochs=3", "--train-images=600"),
    *("--batch-size=16", "--workers=2", "--stack-size=4"),
]
SECONDS = 120  # that anything may take before it counts as hung
CLUSTER = """
import sys
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1).all_processes[PROCESS_TYPE_RAYLET][0].process.pid
print("cluster", cluster.address, second, flush=True)
sys.stdin.read()
cluster.shutdown()
"""  # of two nodes, in a process of its own, because another Ray may have run in this one

Found = TypeVar("Found")


def settings() -> dict[str, str]:
    """Of the environment, what no other Ray and no other data have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ZOOBENCH_DATA"))}


def start(zoo: Path, **environment: str) -> subprocess.Popen[str]:
    """Begin a build."""
    return subprocess.Popen(
        [sys.executable, "-m", "zoobench", "build-zoo", *ZOO, "--out", str(zoo), "--home", str(zoo.parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=settings() | {"COLUMNS": "300"} | environment,
    )


def end(build: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the output of a build."""
    output, _ = build.communicate(timeout=SECONDS)
    assert "Traceback" not in output
    return build.returncode, output


def until(found: Callable[[], Found], build: subprocess.Popen[str]) -> Found:
    """Wait for something to exist while the build runs."""
    deadline = time.monotonic() + SECONDS
    while not (result := found()):
        assert build.poll() is None, f"the build ended before its fault: {build.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def training(parent: int) -> list[psutil.Process]:
    """Processes below one that are in the middle of a shard."""
    try:
        below = psutil.Process(parent).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for process in below:
        try:
            if "_train_shard" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def parts(zoo: Path) -> list[Path]:
    return sorted(zoo.glob("models/*.parquet"))


def is_whole(zoo: Path, undisturbed: Path) -> None:
    assert len(ZooSink(zoo).done()) == MODELS
    assert_same_zoo(zoo, undisturbed)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    zoo = tmp_path_factory.mktemp("undisturbed") / "zoo"
    code, output = end(start(zoo))
    assert code == 0 and f"{MODELS}/{MODELS}" in output and len(parts(zoo)) == 4
    return zoo


def test_a_truncated_shard_and_a_killed_worker(undisturbed: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    shutil.copytree(undisturbed, zoo)
    harmed = [sorted((zoo / folder).iterdir())[i] for i, folder in enumerate(("weights", "models", "checkpoints"))]
    for file in harmed:
        os.truncate(file, file.stat().st_size // 2)
    whole = [file for file in parts(zoo) if file.stem not in {file.stem for file in harmed}]
    kept = {file: file.stat().st_mtime_ns for file in whole}
    build = start(zoo)
    worker = until(lambda: training(build.pid), build)[0]
    time.sleep(0.3)
    worker.kill()
    code, output = end(build)
    assert code == 0 and "3 damaged parts" in output and "8 already there" in output
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())
    is_whole(zoo, undisturbed)


def test_a_killed_driver(undisturbed: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    build = start(zoo)
    until(lambda: parts(zoo), build)
    workers = training(build.pid)
    build.kill()
    build.communicate()
    psutil.wait_procs(workers, timeout=SECONDS)
    kept = {file: file.stat().st_mtime_ns for file in parts(zoo)}
    assert 0 < len(kept) < 4
    code, output = end(start(zoo))
    assert code == 0 and f"{8 * len(kept)} already there" in output
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())
    is_whole(zoo, undisturbed)


def test_a_killed_node(undisturbed: Path, tmp_path: Path) -> None:
    """One of two: its shard is trained by the other."""
    zoo, command = tmp_path / "zoo", [sys.executable, "-c", CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=settings()) as cluster:
        assert cluster.stdin and cluster.stdout
        line = next(each for each in cluster.stdout if each.startswith("cluster"))
        address, raylet = line.split()[1], int(line.split()[2])
        build = start(zoo, RAY_ADDRESS=address)
        until(lambda: training(raylet), build)
        time.sleep(0.3)
        os.kill(raylet, signal.SIGKILL)
        assert len(parts(zoo)) < 4
        code, output = end(build)
        assert code == 0, output
        cluster.stdin.close()
    is_whole(zoo, undisturbed)


def test_a_killed_training_of_sane(undisturbed: Path, tmp_path: Path) -> None:
    """It goes on from its last snapshot, and ends with the weights of one that was not killed."""

    def begin(out: Path) -> subprocess.Popen[str]:
        arguments = ["train", "--zoo", str(undisturbed), "--set", "d_model=64,steps=400", "--out", str(out)]
        return subprocess.Popen(
            [sys.executable, "-m", "zoobench", *arguments, "--home", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    code, _ = end(begin(tmp_path / "whole"))
    assert code == 0
    snapshot = tmp_path / ".killed.training" / "training.pt"
    training = begin(tmp_path / "killed")
    until(snapshot.exists, training)
    training.kill()
    training.communicate()
    assert not (tmp_path / "killed").exists()
    code, _ = end(begin(tmp_path / "killed"))
    assert code == 0 and not snapshot.exists()
    for name in {file.name for file in (tmp_path / "whole").iterdir()} - {"losses.json", "SHA256SUMS"}:
        file = tmp_path / "whole" / name  # losses are told every so many seconds
        assert (tmp_path / "killed" / file.name).read_bytes() == file.read_bytes()


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of that many bytes, in memory."""
    path.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "zoobench-test", str(path)]
    if os.geteuid() != 0 or subprocess.run(options, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs takes root; test_store.py fills a disk without")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_and_a_second_build_and_an_interrupt(undisturbed: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "600k") as disk:
        zoo = disk / "zoo"
        code, output = end(start(zoo))
        assert code == 2 and "could not write to the zoo" in output and "o space left on device" in output
        assert len(ZooSink(zoo).done()) < MODELS
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        build = start(zoo)
        workers = until(lambda: training(build.pid), build)
        for worker in workers:  # what is left to train may take less time than a second build needs to begin
            worker.send_signal(signal.SIGSTOP)
        code, output = end(start(zoo))
        assert code == 2 and str(zoo) in output and f"is being built by process {build.pid} on" in output
        build.send_signal(signal.SIGINT)
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.send_signal(signal.SIGCONT)
        code, _ = end(build)
        assert code == 130
        there = len(ZooSink(zoo).done())
        assert there < MODELS
        code, output = end(start(zoo))
        assert code == 0 and f"{there} already there" in output
        is_whole(zoo, undisturbed)
