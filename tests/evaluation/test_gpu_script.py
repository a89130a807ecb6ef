"""The script that measures a GPU, in small on a CPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from zoo_generation.errors import InputError
from zoobench.evaluation.cost import Rates

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SPEED)
    found = importlib.util.spec_from_file_location("gpu", SPEED / "gpu.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "gpu", module)
    found.loader.exec_module(module)
    return module


def test_every_part_is_measured_and_one_that_fails_does_not_end_the_others(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(bench: object) -> dict[str, float]:
        raise RuntimeError("no memory is left\nand more")

    parts = ["matrix", "cnn_s", "resnet18", "narrow resnet18", "sane tiny", "sane base", "sane paper"]
    parts += ["candidates", "agreement"]
    assert list(script.PARTS) == parts
    monkeypatch.setattr(script, "PARTS", {"broken": fails} | script.PARTS)
    monkeypatch.setattr(
        sys, "argv", ["gpu.py", "--device", "cpu", "--small", "--out", str(tmp_path), "--minutes", "0.1"]
    )
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert {name for name, part in record["parts"].items() if part["done"]} == set(parts)
    assert record["parts"]["broken"]["reason"] == "no memory is left"
    assert {"card", "versions", "commit"} <= record.keys()
    with pytest.raises(InputError, match="measured with --small"):
        Rates.read(tmp_path / "gpu.json")
    (tmp_path / "whole.json").write_text(json.dumps(record | {"small": False}))
    assert Rates.read(tmp_path / "whole.json").device == "one CPU"
    assert record["parts"]["cnn_s"]["figures"]["ratio"] > 0 and record["parts"]["agreement"]["figures"]["decode"] == 0
    table = (tmp_path / "gpu.md").read_text()
    assert all(f"| {name} |" in table for name in ("broken", *parts))
