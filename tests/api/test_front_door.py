"""`import zoobench`: quick, every name in its place, and what is not there refused."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import zoobench as zb

ROOT = Path(__file__).parents[2]
HEAVY = ["torch", "ray", "pandas", "numpy", "pyarrow", "pydantic", "matplotlib", "sklearn"]
SHARED = {"check_fitted", "is_token_set", "listed", "selected", "zoo_of", "zoos_of"}
"""What the files of the face share among themselves."""

FUNCTIONS = [name for name in zb.__all__ if name not in zb._MODULES]


def test_the_import_is_light() -> None:
    code = f"import sys, zoobench, zoobench.api; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_once_and_none_is_a_rooms() -> None:
    assert len(set(zb.__all__)) == len(zb.__all__) and set(dir(zb)) == {*zb.__all__, "__version__"}
    defined = {
        node.name
        for file in (Path(zb.__file__).parent / "api").glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert set(FUNCTIONS) == defined - SHARED
    rooms = {path.stem for path in Path(zb.__file__).parent.iterdir()}
    assert not rooms & set(zb.__all__)
    for name in zb.__all__:
        assert getattr(zb, name) is not None
    with pytest.raises(AttributeError, match="module 'zoobench' has no attribute 'build_zo'"):
        zb.build_zo  # noqa: B018


def test_a_type_checker_sees_what_is_loaded() -> None:
    tree = ast.parse(Path(zb.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == zb._MODULES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_does_with_an_example_and_what_it_raises(name: str) -> None:
    function = getattr(zb, name)
    text = inspect.getdoc(function) or ""
    assert text.partition("\n")[0].rstrip().endswith((".", "`", ",")), text
    assert f"{name}(" in text and ">>> " in text, f"{name} has no example"
    assert (
        name.startswith(("list_", "validate_"))
        or name in ("run_demo", "verify_fresh")
        or "Raises `InputError`" in " ".join(text.split())
    ), f"{name} does not say what it raises"


def test_tracks_and_entries_are_read_and_compared() -> None:
    here = zb.Workspace(ROOT)
    small, names = zb.list_tracks(scale="two-cores", workspace=here), zb.list_tracks(workspace=here)
    assert set(small) < set(names)
    board = zb.load_boards(["generation-id"], workspace=here)[0]
    first, second = (entry.name for _, entry in board.all()[:2])
    found = zb.compare_entries(first, second, ["generation-id"], workspace=here)
    assert [each.target for each in found] == list(board.track.targets)
    for each in found:
        assert each.first is not None and each.second is not None and each.difference == each.first - each.second
    changed = board.entries[0].model_copy(update={"description": "another"})
    assert board.with_entry(changed).entries == (*board.entries[1:], changed)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    empty = zb.Workspace(tmp_path)
    for ask in (zb.validate_zoo, zb.load_zoo, zb.load_boards):
        with pytest.raises(zb.InputError):
            ask(workspace=empty)
    with pytest.raises(zb.InputError, match=r"generation-idd.*generation-id"):
        zb.get_track("generation-idd", workspace=zb.Workspace(ROOT))
