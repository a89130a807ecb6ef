"""`import zoobench`: quick, and every name in its place."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import zoobench as zb
from zoobench import api

HEAVY = ["torch", "ray", "pandas", "numpy", "pyarrow", "pydantic", "matplotlib", "sklearn"]
FUNCTIONS = [name for name in zb.__all__ if name in api.__all__]


def test_the_import_is_light() -> None:
    code = f"import sys, zoobench, zoobench.api; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_once_and_none_is_a_rooms() -> None:
    assert len(set(zb.__all__)) == len(zb.__all__) and set(dir(zb)) == {*zb.__all__, "__version__"}
    assert set(FUNCTIONS) == set(api.__all__)
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
    assert seen == zb._MODULES and set(seen) == set(zb.__all__)


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
