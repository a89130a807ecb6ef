"""What several tests need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from made_up_report import made_up_report
from submitting import Board, make_board

from zoobench.ablation.report import write_report
from zoobench.cli.app import main

Run = Callable[..., tuple[int, str]]

SMALL_ZOO = ["--datasets=digits", "--learning-rate=0.001,0.003", "--seeds=7", "--epochs=2", "--train-images=300"]

settings.register_profile("untimed", deadline=None)  # speed is measured in benchmarks/speed
settings.load_profile("untimed")

SHARED = Path(__file__).parents[2] / "shared"


def shared(name: str) -> Path:
    """A folder of recorded data that lies beside the checkout on a developer's machine."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here: recorded data of the published implementations, or real images")
    return path


@pytest.fixture
def vectors() -> Path:
    return shared("reference/vectors")


@pytest.fixture
def real_images() -> Path:
    return shared("data")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; returns its exit code and all that it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("ZOOBENCH_DATA", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def command(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["zoobench", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, "".join(capfd.readouterr())

    return command


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small zoo, built by one worker."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "zoobench", "build-zoo", *SMALL_ZOO, "--workers", "1", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "14/14" in done.stdout
    return home


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up report as it is written."""
    path = tmp_path_factory.mktemp("report")
    write_report(made_up_report(), path)
    return path


@pytest.fixture(scope="session")
def small_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """A leaderboard of two tracks on a zoo that is trained here, an entry on each, and honest submissions."""
    return make_board(tmp_path_factory.mktemp("board"))


@pytest.fixture
def board(small_board: Board, tmp_path: Path) -> Board:
    """One's own copy of it."""
    shutil.copytree(small_board.path, tmp_path / "leaderboards")
    shutil.copytree(small_board.honest, tmp_path / "honest")
    return replace(small_board, path=tmp_path / "leaderboards", honest=tmp_path / "honest")
