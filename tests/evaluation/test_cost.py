"""What a plan would cost, at the speed of this machine or of a measured device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import Run

from zoo_generation.errors import InputError
from zoobench.evaluation.cost import NARROW, WIDE, Rates

RATES = {"stacked": 1e12, "alone": 1e13, "transformer": 1e13, "evaluated": 2e12}


def test_a_measured_device_gives_its_hours(run: Run, tmp_path: Path) -> None:
    content = {
        "name": "tried",
        "zoos": {"digits": {"spec": "cnn-seed", "datasets": "digits", "per_dataset": {}, "seeds": 7}},
        "combine": ["all"],
        "methods": {"sane": {}},
        "tasks": {"generation": {}},
        "seeds": 1,
    }
    study, file = tmp_path / "study.yaml", tmp_path / "results" / "speed" / "gpu.json"
    study.write_text(yaml.safe_dump(content))
    code, output = run("ablate", study, "--dry-run", "--home", tmp_path)
    assert code == 0, output
    assert "for GPU-hours, run benchmarks/speed/gpu.py" in output
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"card": "Card X", "rates": RATES}))
    code, output = run("ablate", study, "--dry-run", "--home", tmp_path)
    assert code == 0 and "of one Card X" in " ".join(output.split()) and "one core of this machine" not in output
    file.write_text(json.dumps({"card": "Card X", "rates": {"stacked": 0}}))
    code, output = run("ablate", study, "--dry-run", "--rates", file, "--home", tmp_path)
    assert code == 2 and "does not have the rates" in " ".join(output.split())
    with pytest.raises(InputError, match="measure them with"):
        Rates.read(file)
    file.write_text(json.dumps({"card": "Card X", "small": True, "rates": RATES}))
    with pytest.raises(InputError, match="measured with --small"):
        Rates.read(file)


def test_a_training_reaches_the_rate_of_its_size() -> None:
    """A network of any size is between the two that were measured."""
    rates = Rates("card", stacked=1e11, alone=1e13, transformer=1.0, evaluated=1.0)
    measured = [rates.training(flops) for flops in (1.0, NARROW, (NARROW * WIDE) ** 0.5, WIDE, 1e15)]
    assert measured == pytest.approx([1e11, 1e11, 1e12, 1e13, 1e13])
