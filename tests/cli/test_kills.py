"""Every command that writes, killed at a random moment: the same command again leaves what an undisturbed one leaves.

A minute or two for each kill, so only where asked for:
ZOOBENCH_KILLS=5 python -m pytest -m faults -n 0 tests/cli/test_kills.py
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.submitting import Board

from zoobench.zoo import Zoo
from zoobench.zoo.exporters import export_zoo

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("ZOOBENCH_KILLS", "1"))
SEED = int(os.environ.get("ZOOBENCH_KILLS_SEED", "0"))
SECONDS = 300  # that anything may take before it counts as hung
WAYS = list(itertools.product((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), ("driver", "group")))

ZOO = "--zoo=zoos/small"
COMMANDS = {
    "build-zoo": "build-zoo --datasets=digits --learning-rate=0.001 --seeds=8 --epochs=2 --train-images=300 "
    "--workers=2 --stack-size=2",
    "eval": f"eval --model=pca --seeds=1 {ZOO}",
    "generate": f"generate --model=weight_density --drawn=8 --kept=4 {ZOO}",
    "train": f"train --set=d_model=32,layers=1,latent=8,steps=60 {ZOO}",
    "tokens": f"tokens build {ZOO}",
    "import": "zoo import downloads --name=back",
    "export": "zoo export zoos/small --to=safetensors --out=exported",
    "site": "leaderboard site",
    "submit": "submit honest/property",
    "ablate": "ablate study.yaml --workers=2",
}
STUDY = {
    "name": "killed",
    "zoos": {"small": {"path": "zoos/small"}},
    "combine": ["alone"],
    "methods": {
        "sane": {"set": {"d_model": 32, "heads": 2, "layers": 1, "latent": 8, "steps": 20}},
        "layer_statistics": {},
        "weight_density": {},
    },
    "baselines": False,
    "tasks": {"property_prediction": {}, "generation": {"drawn": 6, "kept": 3, "selection_images": 100}},
    "seeds": 1,
}

TIMES = re.compile(
    rb'"built": "[^"]*"|"(core_)?seconds": [0-9.]+|<dt>duration</dt><dd>[^<]*</dd>|\| duration \| [^|\n]*\||'
    rb'"written by zoobench": [^\n]*'
)
"""Fields for when something was made, or how long that took."""
UNTOLD = re.compile(r"losses\.(parquet|png|json)|SHA256SUMS|.*\.sha256")
"""Files that tell of times in a form of their own: losses are reported every so many seconds, and sums are of the
others."""


@dataclass(frozen=True)
class Running:
    """A command that runs in a home; all its processes know its token."""

    process: subprocess.Popen[bytes]
    token: str
    output: Path

    def left(self) -> list[psutil.Process]:
        """Its processes that still run."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ZOOBENCH_KILLED") == self.token and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def start(home: Path, command: str, outputs: Path) -> Running:
    unset = {"RAY_ADDRESS", "ZOOBENCH_DATA", "ZOOBENCH_HOME"}
    token, output = uuid.uuid4().hex, outputs / f"{uuid.uuid4().hex}.txt"
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoobench", *command.split()],
            cwd=home,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment | {"ZOOBENCH_KILLED": token, "COLUMNS": "200"},
            start_new_session=True,
        )
    return Running(process, token, output)


def kill(running: Running, number: signal.Signals, whom: str) -> None:
    with suppress(ProcessLookupError):
        (os.kill if whom == "driver" else os.killpg)(running.process.pid, number)
    running.process.wait(SECONDS)
    _, alive = psutil.wait_procs(running.left(), timeout=SECONDS)
    assert not alive, f"left running: {alive}"


def content(file: Path) -> bytes:
    """The content of a file, except for times."""
    if UNTOLD.fullmatch(file.name):
        return b""
    if file.is_symlink():
        return os.fsencode(file.readlink())
    if file.suffix == ".parquet" and "seconds" in pq.read_schema(file).names:
        return repr(pq.read_table(file).drop_columns("seconds").to_pydict()).encode()
    if file.name in ("fits.csv", "costs.csv"):
        table = pd.read_csv(file)
        return table[[name for name in table if "core_seconds" not in name]].to_csv().encode()
    return TIMES.sub(b"", file.read_bytes())


def tree(home: Path) -> dict[str, bytes | None]:
    """Everything in a home, with folders and hidden files."""
    return {
        path.relative_to(home).as_posix(): None if path.is_dir() and not path.is_symlink() else content(path)
        for path in home.rglob("*")
    }


@pytest.fixture(scope="module")
def given(built: Path, small_board: Board, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Makes a home in which each of the commands has something to do."""
    template = tmp_path_factory.mktemp("given")
    shutil.copytree(built / "zoos" / "digits-cnn_s", template / "zoos" / "small")
    export_zoo(Zoo(template / "zoos" / "small"), "modelzoos", template / "downloads")
    shutil.copytree(small_board.path, template / "leaderboards")
    shutil.copytree(small_board.honest, template / "honest")
    (template / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return lambda home: shutil.copytree(template, home)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_begun_again(given: Callable[[Path], None], tmp_path: Path, name: str) -> None:
    command, chance = COMMANDS[name], random.Random(f"{name} {SEED}")
    given(tmp_path / "undisturbed")
    begun = time.monotonic()
    whole = start(tmp_path / "undisturbed", command, tmp_path)
    assert whole.process.wait(SECONDS) == 0, whole.output.read_text()
    took, wanted = time.monotonic() - begun, tree(tmp_path / "undisturbed")
    for number in range(KILLS):
        home = tmp_path / f"killed-{number}"
        given(home)
        way, moment = chance.choice(WAYS), chance.uniform(0, took)
        told = f"{name} killed after {moment:.2f} of {took:.2f} s by {way[0].name} of the {way[1]}"
        print(told)
        running = start(home, command, tmp_path)
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(moment)
        kill(running, *way)
        again = start(home, command, tmp_path)
        code, output = again.process.wait(SECONDS), again.output.read_text()
        assert "Traceback" not in output, f"{told}\n{output}"
        assert code == 0 or (code == 2 and "already" in output), (
            f"{told}\n{output}"
        )  # it had ended but for its last words
        found = tree(home)
        assert found.keys() == wanted.keys(), f"{told}\n{output}"
        assert [path for path in wanted if found[path] != wanted[path]] == [], f"{told}\n{output}"
        assert again.left() == []
