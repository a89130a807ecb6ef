"""README and docs: their commands exist, each has Python beside it, and that Python runs.

A page's `python` blocks run in order, in one namespace and one folder. HTML comments directly above a block steer this:

    <!-- setup: CODE -->            runs before the block
    <!-- test: LONG => SHORT -->    replaces text of the block, to make it quick
    <!-- test: not run: WHY -->     checks only that the functions exist and take these arguments; imports run
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from conftest import TEMPLATE
from helpers.one_ray import OneRay
from helpers.packages import write_package

import zoobench
from zoo_generation.training.cluster import ray_session
from zoobench.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if not any(part.startswith("_") for part in path.parts)),
]
FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
COMMENTS = re.compile(r"(?:^<!-- .*? -->\n)*\Z", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, comments directly above it, and what stands between it and the one before."""

    language: str
    text: str
    comments: tuple[str, ...]
    before: str

    @property
    def commands(self) -> list[str]:
        return [line for line in self.text.replace("\\\n", "").split("\n") if line.startswith("zoobench ")]

    def said(self, key: str) -> list[str]:
        return [comment.removeprefix(f"{key}: ") for comment in self.comments if comment.startswith(f"{key}: ")]

    @property
    def runs(self) -> bool:
        return not any(each.startswith("not run") for each in self.said("test"))

    @property
    def tested(self) -> str:
        """The text with what the test makes short."""
        text = self.text
        for each in self.said("test"):
            long, arrow, short = each.partition(" => ")
            assert arrow and long in text, f"'{long}' is not in\n{text}"
            text = text.replace(long, short)
        return text


def blocks(page: Path) -> Iterator[Block]:
    text, end = page.read_text(encoding="utf-8"), 0
    for fence in FENCE.finditer(text):
        before = text[end : fence.start()]
        found = COMMENTS.search(before)
        assert found
        comments = tuple(re.findall(r"<!-- (.*?) -->", found.group()))
        yield Block(fence["language"].split(" ")[0], fence["text"], comments, before[: found.start()])
        end = fence.end()


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def parsed(line: str) -> None:
    """Parse a command as the app does; raises what the app would raise for an option that does not exist."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.context_class(command)
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"there is no command '{' '.join(words[:1])}' in: {line}"
        command = command.commands[words.pop(0)]
        context = command.context_class(command, parent=context)
    given, rest, _ = command.make_parser(context).parse_args(words)
    assert not rest, f"too many arguments: {line}"
    missing = [each.name for each in command.params if each.required and given.get(each.name) is None]
    assert not missing, f"{', '.join(missing)} is missing: {line}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_exist(page: Path) -> None:
    for block in blocks(page):
        assert block.language == "shell" or not block.commands, f"a command in a block of {block.language or 'text'}"
        for line in block.commands:
            parsed(line)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_command_has_python_beside_it(page: Path) -> None:
    for block, after in pairwise([*blocks(page), None]):
        if block and block.commands:
            assert after and after.language == "python" and not after.before.strip(), block.text
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert not re.search(r"^    zoobench ", outside, re.M), "commands belong into shell blocks"


def test_all_pages_are_seen() -> None:
    assert len(PAGES) > 15
    assert sum(len(block.commands) for page in PAGES for block in blocks(page)) > 40


def imports(text: str) -> Iterator[str]:
    yield from (ast.unparse(each) for each in ast.parse(text).body if isinstance(each, ast.Import | ast.ImportFrom))


def calls(text: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "zb":
                yield node


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_calls_what_there_is(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("python", "{code-cell}"):
            for call in calls(block.text):
                assert isinstance(call.func, ast.Attribute)
                function = getattr(zoobench, call.func.attr)
                if not any(isinstance(each, ast.Starred) for each in call.args):
                    names = {each.arg: None for each in call.keywords if each.arg}
                    inspect.signature(function).bind(*call.args, **names)


WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
STUDY = """
name: mine
combine: [alone]
zoos: {digits: {datasets: digits, seeds: 7, epochs: 2, train_images: 300, learning_rate: [0.001, 0.003]}}
methods: {layer_statistics: {}}
baselines: false
tasks: {property_prediction: {}}
seeds: 1
"""

TRACK = {
    "format": "zoobench-track/1",
    "title": "A small track",
    "summary": "For pages.",
    "scale": "two-cores",
    "task": "property_prediction",
    "zoos": {"tiny": None},
    "training": ["tiny"],
    "targets": ["tiny"],
    "seeds": 1,
    "metrics": ["r2:test_accuracy"],
    "tolerance": 1e-6,
}
SMALL: dict[str, Any] = {
    "datasets": ["digits"],
    "learning_rate": [0.001, 0.003],
    "seeds": 7,
    "epochs": 2,
    "train_images": 300,
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, one_ray: OneRay) -> Iterator[Path]:
    """The folder that pages run in: the zoo that most of them build is there, the template is installed, Ray runs.

    They share it, so that what one page trained or measured is there for the others. Leaderboards are the repository's,
    with a few entries of each track, and a track `tiny` that is built in seconds; each page has a copy of its own.
    """
    folder, packages = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("packages")
    template = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    module = (TEMPLATE / "my_forest.py").read_text()
    write_package(packages, template["name"], template["entry-points"], {"my_forest": module})
    with one_ray.apart(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(packages)
        patch.setenv("PYTHONPATH", str(packages), prepend=os.pathsep)  # of Ray's processes
        patch.setenv("ZOOBENCH_DATA", str(folder / "data"))
        with ray_session(None, 1):
            zoobench.build_zoo(**SMALL)
            boards = shutil.copytree(ROOT / "leaderboards", folder / "recorded" / "leaderboards", ignore=most_entries)
            for path, fields in (("tiny/track.yaml", TRACK), ("zoos/tiny/zoo.yaml", SMALL)):
                (boards / path).parent.mkdir()
                (boards / path).write_text(yaml.safe_dump(fields))
            zoobench.rebuild_tracks(["tiny"], record=True, workspace=zoobench.Workspace("recorded"))
            yield folder


def most_entries(folder: str, names: list[str]) -> set[str]:
    """Of what is in a folder of leaderboards, entries that no page names."""
    return {name for name in names if (Path(folder) / name / "entry.json").exists()} - {"sane", "weight_density"}


def predict(path: str) -> None:
    """What another method predicts on the small track, as a file of its own."""
    zoobench.run_track("layer_statistics", "tiny")
    shutil.copy("results/tiny/layer_statistics/predictions.parquet", path)


@pytest.fixture
def hidden(desk: Path) -> dict[str, Any]:
    """What setups may name: the small zoo, SANE of a few steps, a study, predictions."""
    shutil.rmtree(desk / "leaderboards", ignore_errors=True)
    shutil.copytree(desk / "recorded" / "leaderboards", desk / "leaderboards")
    sane = zoobench.get_method("sane")
    small: Any = replace(sane.presets["tiny"], steps=5, batch_size=4)  # type: ignore[type-var]
    return {
        "small_zoo": zoobench.build_zoo(**SMALL),
        "small_sane": replace(sane, presets={"small": small}),
        "predict": predict,
        "write_study": lambda name: Path(name).write_text(STUDY, encoding="utf-8"),
    }


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_python_runs(page: Path, hidden: dict[str, Any]) -> None:
    for block in blocks(page):
        if block.language == "python":
            for code in (*block.said("setup"), block.tested) if block.runs else imports(block.text):
                exec(compile(code, named(page), "exec"), hidden)


FORMS = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="a source distribution has no .github")
@pytest.mark.parametrize("path", FORMS, ids=named)
def test_forms_and_workflows_can_be_read(path: Path) -> None:
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    for field in read.get("body", ()):
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes", "markdown")
        assert field["attributes"].get("label") or field["type"] == "markdown"
