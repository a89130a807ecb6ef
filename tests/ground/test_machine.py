"""The machine: cores, threads, ports, lost clusters, disks that refuse."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from cli.test_faults import training, until
from conftest import Run
from packaging.requirements import Requirement

from zoo_generation import machine
from zoo_generation.errors import InputError
from zoo_generation.machine import check_writable, cores, refusal
from zoo_generation.provenance import command
from zoo_generation.training import sessions
from zoobench.cli import app
from zoobench.methods.learning.resume import Snapshots

ZOO = ["--datasets=digits", "--learning-rate=0.001", "--seeds=2", "--epochs=1", "--train-images=100"]


def in_child(script: str, *before: str, **environment: str) -> str:
    """The output of a script in its own process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "RAY_"))}
    command = [*before, sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment).stdout.strip()


def test_cores_are_those_it_is_bound_to() -> None:
    first = str(min(os.sched_getaffinity(0)))
    script = "from zoo_generation.machine import cores; print(cores())"
    if shutil.which("taskset") is None:
        pytest.skip("no taskset")
    assert in_child(script, "taskset", "-c", first) == "1"
    assert int(in_child(script)) == cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000"}, 2),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("1:cpu:/x/y\n", {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"}, 1),
        ("1:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 64),
        ("0::/\n", {"cpu.max": "nonsense"}, 64),
        ("nonsense", {}, 64),
    ],
)
def test_cores_of_control_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, membership: str, files: dict[str, str], expected: int
) -> None:
    """Of versions 1 and 2, where a group above gives less than its own."""
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_bound", lambda: 64)
    assert cores() == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/usr/bin/zoobench", "eval", "--model", "a b"], "zoobench eval --model 'a b'"),
        (["/somewhere/zoobench/__main__.py", "demo"], "zoobench demo"),
        (["/home/me/mine.py", "x"], "python mine.py x"),
        (["-c"], "python -c"),
    ],
)
def test_a_result_says_by_which_command_it_came(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert command() == expected


def test_threads_wait_without_a_busy_loop() -> None:
    """As libgomp itself reports its settings, and as the user sets them if he does."""
    script = "import os, zoobench; print(os.environ['OMP_WAIT_POLICY'])"
    assert in_child(script) == in_child(script.replace("zoobench", "zoo_generation.training.jobs")) == "PASSIVE"
    assert in_child(script, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
    assert in_child("import sys, zoobench, zoo_generation.machine; print('torch' in sys.modules)") == "False"


LOCAL_RAY = """
import os, psutil
from zoo_generation.training.cluster import ray_session

with ray_session(None, None) as ray:
    worker = ray.remote(lambda: (os.environ["OMP_WAIT_POLICY"], len(os.environ["RAY_AUTH_TOKEN"]), os.nice(0)))
    policy, token, nice = ray.get(worker.remote())
    below = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ports = {each.laddr.ip for process in below for each in process.net_connections("inet") if not each.raddr}
    folder = ray._private.worker._global_node.get_session_dir_path()
    shown = os.environ["RAY_AUTH_TOKEN"] in str([process.cmdline() for process in below])
    print(policy, token, ray.cluster_resources()["CPU"], shown, nice == os.nice(0))
    print(sorted(ports))
    print(os.stat(os.path.dirname(os.path.dirname(folder))).st_mode & 0o777 == 0o700)
print(os.path.exists(folder))
ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
print(ray.get(ray.remote(lambda: "one of the user's own").remote()))
"""


@pytest.mark.faults
def test_a_local_ray_is_this_process_own(tmp_path: Path) -> None:
    """On one core, beside a cluster that was killed: closed to the network and to other users, and gone in the end."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:6379")
        first = str(min(os.sched_getaffinity(0)))
        done = in_child(LOCAL_RAY, "taskset", "-c", first, RAY_TMPDIR=folder, HOME=str(tmp_path))
        assert [each.name for each in Path(folder).iterdir()] == ["ray"] and not (tmp_path / ".ray").exists()
    said, ports, closed, is_left, afterwards = done.splitlines()
    assert said == "PASSIVE 64 1.0 False True" and closed == "True" and is_left == "False"
    assert afterwards == "one of the user's own"
    assert set(eval(ports)) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"} and eval(ports)


@pytest.fixture
def listeners() -> Iterator[dict[str, str]]:
    """Addresses of nothing, of one that accepts and says nothing, and of one that closes at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as gone:
        free = gone.getsockname()[1]
        gone.close()
        yield {"silent": f"127.0.0.1:{silent.getsockname()[1]}", "dead": f"127.0.0.1:{free}"}


@pytest.mark.parametrize(
    "address",
    [
        "foo",
        "host:port",
        "host:port:6379",
        "http://localhost:6379",
        ":6379",
        "a:99999",
        "a@b:6379",
        "ray://",
        "host:6379/x",
        "[::1:6379",
    ],
)
def test_no_address(own_ray: None, run: Run, tmp_path: Path, address: str) -> None:
    code, output = run("build-zoo", *ZOO, "--home", tmp_path, "--ray-address", address)
    assert code == 2 and "is not the address of a Ray cluster" in output


def test_a_cluster_that_is_gone(
    own_ray: None, run: Run, tmp_path: Path, listeners: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (listeners["dead"], f"ray://{listeners['dead']}", "nobody.invalid:6379"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        code, output = run("build-zoo", *ZOO, "--home", tmp_path)
        assert code == 2 and f"no Ray cluster answers at '{address}'" in output


@pytest.mark.faults
def test_something_else_than_a_cluster(listeners: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", sessions._token())  # else Ray misses one, if it ran in this process before
    monkeypatch.setattr(sessions, "ANSWER_SECONDS", 3)
    monkeypatch.setattr(sessions, "CONNECT_SECONDS", 0.5)
    for address, told in ((listeners["silent"], "no Ray said anything"), ("10.255.255.1:6379", "")):
        with pytest.raises(InputError, match=f"no Ray cluster answers at '{address}'.*{told}"):
            sessions._answers(address)


def test_short_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Closed to others, gone in the end; a killed process's goes with the next one, a running one's stays."""
    long = tmp_path / ("a_long_name_of_a_project_" * 4)
    long.mkdir()
    short = Path(tempfile.mkdtemp(dir="/tmp", prefix="t"))
    for told, expected in ((long, long), (short, short), (tmp_path / "none", tmp_path)):
        monkeypatch.setenv("TMPDIR", str(told))
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", None)
        with sessions._temporary_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            assert len(f"{folder}/{sessions.SOCKET.partition('/')[2]}") <= sessions.SOCKET_BYTES
            assert (folder.parent == short) == (told == short), expected
        assert not folder.exists()
    killed = short / f"{sessions.PREFIX}killed"
    killed.mkdir()
    (killed / sessions.LOCK).touch()
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    with sessions._temporary_folder() as running, sessions._temporary_folder():
        assert running.exists() and not killed.exists()
    short.rmdir()


REFUSED = [
    OSError(errno.ENOSPC, "No space left on device", "/disk/file"),
    OSError(errno.EROFS, "Read-only file system"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
    RuntimeError(
        "[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file data/0: file write failed"
    ),
    ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory (9 bytes)."),
]


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_what_a_machine_refuses_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("saving failed") from cause

    for raised in (error, None):
        monkeypatch.setattr(
            app, "app", lambda raised=raised: fail() if raised is None else (_ for _ in ()).throw(raised)
        )
        code, output = run()
        assert code == 2 and output.startswith("Error: ") and output.count("\n") == 1
    assert ("/disk/file" in output) == (getattr(error, "filename", None) is not None)


def test_a_fault_of_our_own_is_none() -> None:
    for error in (KeyError("x"), FileNotFoundError(errno.ENOENT, "no such file"), RuntimeError("size mismatch")):
        assert refusal(error) is None


def test_a_snapshot_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that is always full."""
    monkeypatch.setattr("zoobench.methods.learning.resume.SECONDS", -1.0)
    (tmp_path / "full").symlink_to("/dev/full")
    snapshots = Snapshots(tmp_path / "training.pt", "mine")
    monkeypatch.setattr("zoobench.methods.learning.resume.written_aside", lambda path: _opened(tmp_path / "full"))
    with pytest.warns(UserWarning, match="the training goes on"):
        snapshots.write_if_due(lambda: {"weights": torch.zeros(100_000)})
    monkeypatch.undo()
    monkeypatch.setattr(snapshots, "_due", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snapshots.write_if_due(lambda: {"weights": torch.ones(3)})
    assert (found := snapshots.read()) is not None and found["weights"].tolist() == [1, 1, 1]


class _opened:  # noqa: N801 - a context manager that gives its path
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        return None


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    check_writable(tmp_path / "to" / "be" / "made")
    assert not list(tmp_path.iterdir())
    for path in ("/proc/1/zoo", "/sys/kernel/zoo"):
        with pytest.raises(InputError, match="nothing can be written"):
            check_writable(Path(path))


def test_lower_bounds_are_met_and_free_of_known_holes() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    bounds = {requirement.name: requirement for requirement in map(Requirement, project["dependencies"])}
    for name, requirement in bounds.items():
        assert requirement.specifier.contains(version(name)), name
    for name, hole in (
        ("torch", "2.9.1"),
        ("ray", "2.58.1"),
        ("pillow", "12.3"),
        ("jinja2", "3.1.5"),
        ("pyarrow", "14.0"),
    ):
        assert not bounds[name].specifier.contains(hole), name


@pytest.mark.faults
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_the_end_of_a_cluster_is_a_sentence(tmp_path: Path, part: str) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        zoo = ["--datasets=digits", "--learning-rate=0.001", "--seeds=64", "--epochs=60", "--train-images=600"]
        build = subprocess.Popen(
            [sys.executable, "-m", "zoobench", "build-zoo", *zoo, "--stack-size=4", "--home", str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"RAY_ADDRESS": cluster.address, "COLUMNS": "200"},
        )
        until(lambda: training(cluster.head_node.all_processes["raylet"][0].process.pid), build)
        cluster.head_node.all_processes[part][0].process.kill()
        _, told = build.communicate(timeout=120)
        assert build.returncode == 2 and "Ray stopped during the work" in told and "Traceback" not in told
    finally:
        cluster.shutdown()
