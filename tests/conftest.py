"""What several tests need."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

# Two tests run at a time, and Ray's workers beside them: more threads would wait for each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import typer
from helpers.made_up_boards import made_up_boards
from helpers.made_up_report import made_up_report
from helpers.one_ray import OneRay
from helpers.submitting import Board, make_board
from hypothesis import settings

from zoo_generation.training import cluster
from zoobench.cli import console
from zoobench.cli.app import app, main
from zoobench.leaderboard.site import write_site
from zoobench.studies.report import write_report
from zoobench.zoo import Zoo

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Run = Callable[..., tuple[int, str]]
Install = Callable[..., None]

SMALL_ZOO = ["--datasets=digits", "--learning-rate=0.001,0.003", "--seeds=7", "--epochs=2", "--train-images=300"]

# Speed is measured in benchmarks/speed. New examples are drawn in each run, so that few of them find what there is.
settings.register_profile("untimed", deadline=None, max_examples=25)
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell ignores it for what it runs in the background, and so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # would the commands that tests interrupt

SHARED = Path(__file__).parents[2] / "shared"
TEMPLATE = Path(__file__).parents[1] / "templates" / "method"


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
    """Run a command in this process. Returns its exit code and its output."""
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


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, what a command prints is its result alone."""
    monkeypatch.setattr(console, "SECONDS_BEFORE_LINES", math.inf)


@pytest.fixture(scope="session", autouse=True)
def one_command() -> Iterator[None]:
    """The command line is made of its functions once, not for each command that a test runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_ray() -> Iterator[OneRay]:
    """Commands of this process share one local Ray, which starts when it is first needed."""
    one = OneRay()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "local_ray", one.local_ray)
        yield one
        one.end()


@pytest.fixture
def own_ray(one_ray: OneRay) -> Iterator[None]:
    """Commands of this test start Ray as for a user. For tests of code or settings that its workers must find."""
    with one_ray.apart():
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small zoo."""
    home = tmp_path_factory.mktemp("home")
    assert not app(["build-zoo", *SMALL_ZOO, "--home", str(home)], standalone_mode=False)
    assert len(Zoo(home / "zoos" / "digits-cnn_s").models) == 14
    return home


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up report's files."""
    path = tmp_path_factory.mktemp("report")
    write_report(made_up_report(), path)
    return path


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package where Python looks for them, as pip would: its modules, and what it says of itself."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)  # of the processes that Ray starts

    def installed(package: str, entry_points: dict[str, str], group: str = "zoobench.methods", **modules: str) -> None:
        about = tmp_path / f"{package.replace('-', '_')}-0.1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
        lines = [f"{name} = {value}\n" for name, value in entry_points.items()]
        (about / "entry_points.txt").write_text("".join([f"[{group}]\n", *lines]))
        for module, text in modules.items():
            monkeypatch.delitem(sys.modules, module, raising=False)
            (tmp_path / f"{module}.py").write_text(text)

    yield installed


@pytest.fixture
def template(install: Install) -> None:
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    module = (TEMPLATE / "my_forest.py").read_text()
    install(project["name"], project["entry-points"]["zoobench.methods"], my_forest=module)


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up boards' pages."""
    path = tmp_path_factory.mktemp("pages") / "site"
    write_site(made_up_boards(), path)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: install chromium (apt-get install chromium)")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *quiet]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """A leaderboard of two tracks on a zoo that is trained here, an entry on each, and honest submissions."""
    return make_board(tmp_path_factory.mktemp("board"))


@pytest.fixture
def board(small_board: Board, tmp_path: Path) -> Board:
    """A copy of it for one test."""
    shutil.copytree(small_board.path, tmp_path / "leaderboards")
    shutil.copytree(small_board.honest, tmp_path / "honest")
    return replace(small_board, path=tmp_path / "leaderboards", honest=tmp_path / "honest")
