"""The arrows between rooms go one way only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["cli", "leaderboard", "ablation", "pages", "tasks", "methods", "symmetry", "evaluation", "tokens", "zoo"]
"""From the top down: a room may import rooms that stand after it, and `zoo_generation`."""


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    above = ROOMS[: ROOMS.index(room)]
    files = sorted((ROOT / "zoobench" / room).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            assert not any(f"{name}.".startswith(f"zoobench.{other}.") for other in above), f"{file} imports {name}"


def test_zoo_generation_knows_nothing_of_zoobench() -> None:
    for file in (ROOT / "zoo_generation").rglob("*.py"):
        assert not any(name.split(".")[0] == "zoobench" for name in imported(file)), file


def test_every_room_is_listed() -> None:
    rooms = {path.parent.name for path in (ROOT / "zoobench").glob("*/__init__.py")}
    assert rooms == set(ROOMS)
