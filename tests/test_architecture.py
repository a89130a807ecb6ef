"""The arrows between rooms go one way only, and nothing imports in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import zoobench

ROOT = Path(__file__).parents[1]
PACKAGES = ("zoobench", "zoo_generation")
ROOMS = [
    ["zoobench.cli"],
    ["zoobench.api"],
    ["zoobench.leaderboard"],
    ["zoobench.studies"],
    ["zoobench.evaluation"],
    ["zoobench.tasks"],
    ["zoobench.methods"],
    ["zoobench.populations"],
    ["zoobench.zoo"],
    ["zoobench.display"],
    ["zoobench.theory"],
    ["zoo_generation.training"],
    ["zoo_generation.networks"],
    ["zoo_generation.data"],
]
"""From the top down: a room may import rooms of the lines below its own, and the ground."""

GROUND = {"errors", "files", "kept", "machine", "names", "progress", "provenance", "registry", "settings", "text"}
"""Files of `zoo_generation` that every room may import, and that import nothing but one another."""


def files(room: str) -> list[Path]:
    return sorted((ROOT / room.replace(".", "/")).rglob("*.py"))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path, *, when_it_loads: bool = False) -> Iterator[str]:
    """Modules, and names in them, that a file imports; or only those that it imports as soon as it is imported."""
    tree = ast.parse(file.read_text())
    for node in tree.body if when_it_loads else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def stands_in(name: str, room: str) -> bool:
    return f"{name}.".startswith(f"{room}.")


@pytest.mark.parametrize("line", range(len(ROOMS)), ids=lambda line: "+".join(ROOMS[line]))
def test_a_room_imports_only_rooms_below_it(line: int) -> None:
    for room in ROOMS[line]:
        others = [other for beside in ROOMS[: line + 1] for other in beside if other != room]
        assert files(room)
        for file in files(room):
            for name in imported(file):
                assert not any(stands_in(name, other) for other in others), f"{file} imports {name}"


def test_the_ground_imports_nothing_but_the_ground() -> None:
    assert {file.stem for file in (ROOT / "zoo_generation").glob("*.py")} == GROUND | {"__init__"}
    for name in GROUND:
        for each in imported(ROOT / "zoo_generation" / f"{name}.py"):
            package, _, rest = each.partition(".")
            assert package != "zoobench", f"{name} imports {each}"
            assert package != "zoo_generation" or rest.split(".")[0] in GROUND | {"__version__"}, (
                f"{name} imports {each}"
            )


def test_zoo_generation_knows_nothing_of_zoobench() -> None:
    for file in files("zoo_generation"):
        assert not any(stands_in(name, "zoobench") for name in imported(file)), file


def test_every_room_is_listed() -> None:
    rooms = {module_of(path) for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    assert rooms == {room for line in ROOMS for room in line}


def test_nothing_imports_in_a_circle() -> None:
    modules = {module_of(file): file for package in PACKAGES for file in files(package)}
    arrows: dict[str, set[str]] = {}
    for module, file in modules.items():
        named = [name if name in modules else name.rpartition(".")[0] for name in imported(file, when_it_loads=True)]
        arrows[module] = {name for name in named if name in modules and name != module}
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


def test_the_command_line_asks_the_face_alone() -> None:
    allowed = {"zoobench.cli", "zoobench.display", "zoobench.catalogue"} | {f"zoo_generation.{name}" for name in GROUND}
    offered = {f"zoobench.{name}" for name in (*zoobench.__all__, "__version__")} | {"zoobench"}
    for file in files("zoobench.cli"):
        for name in imported(file):
            ours = name.partition(".")[0] in PACKAGES
            assert not ours or name in offered or any(stands_in(name, room) for room in allowed), f"{file}: {name}"


def test_the_command_line_and_the_engine_know_no_method() -> None:
    for file in (*files("zoobench.cli"), *files("zoobench.evaluation")):
        assert "Sane" not in file.read_text(), file


def test_files_stay_short() -> None:
    lengths = {file: len(file.read_text().splitlines()) for package in PACKAGES for file in files(package)}
    assert {file: length for file, length in lengths.items() if length > 400} == {}
    assert sum(length for file, length in lengths.items() if file.parent.name == "cli") <= 1800


def test_a_class_name_occurs_once() -> None:
    trees = {file: ast.parse(file.read_text()) for package in PACKAGES for file in files(package)}
    classes = [
        (node.name, file) for file, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    counts = Counter(name for name, _ in classes)
    assert [(name, str(file)) for name, file in classes if counts[name] > 1] == []


def test_what_reads_files_of_strangers_knows_no_track() -> None:
    for file in files("zoobench.leaderboard.untrusted"):
        for name in imported(file):
            assert not stands_in(name, "zoobench") or stands_in(name, "zoobench.leaderboard.untrusted"), (
                f"{file}: {name}"
            )
