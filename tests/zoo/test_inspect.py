"""What `zoobench zoo inspect` says of a zoo."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from zoo.test_zoo import cut, trained

from zoo_generation.training.spec import make_spec
from zoobench.cli.app import main
from zoobench.cli.tables import bars
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.inspection import BINS, inspect_zoo

SPEC = make_spec(
    {"name": "small", "datasets": "digits", "architectures": ["cnn_s", "resnet18"], "width": 0.0625}
    | {"learning_rate": 1e-3, "seeds": 5, "epochs": 2}
)


Inspect = Callable[..., tuple[int, str]]


@pytest.fixture
def inspect_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path) -> Inspect:
    """`zoobench zoo inspect` with these arguments: its exit code and all that it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["zoobench", "zoo", "inspect", *map(str, arguments), "--home", str(home)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), "".join(capfd.readouterr())

    return command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a zoo in the making: five models of cnn_s, one of them diverged, and none of resnet18."""
    sink = ZooSink(tmp_path / "zoos" / "small")
    sink.write_card("small", SPEC.model_dump(mode="json"))
    models = [replace(model, seconds=36.0) for model in trained("cnn_s", 5, width=SPEC.width[0])]
    sink.write(models[:2])
    sink.write([replace(models[2], status="at_chance"), replace(models[3], status="diverged"), models[4]])
    return tmp_path


def test_a_report_counts_what_is_there_and_what_is_missing(home: Path) -> None:
    report = inspect_zoo(Zoo(home / "zoos" / "small"))
    cnn, resnet = report.populations
    assert cnn.models == {"trained": 3, "at_chance": 1, "diverged": 1, "missing": 0}
    assert resnet.models == {"trained": 0, "at_chance": 0, "diverged": 0, "missing": 5}
    assert (cnn.checkpoints, resnet.checkpoints) == (15, 0)
    assert sum(cnn.accuracy_histogram) == 4 and len(cnn.accuracy_histogram) == BINS
    last = [
        model.checkpoints[-1].metrics.test_accuracy
        for i, model in enumerate(trained("cnn_s", 5, width=SPEC.width[0]))
        if i != 3
    ]
    assert cnn.accuracy_mean == pytest.approx(sum(last) / 4)
    assert [each.epoch for each in cnn.accuracy_by_epoch] == [0, 1, 2]
    assert cnn.models_per_core_hour == pytest.approx(100) and cnn.model_epochs_per_core_hour == pytest.approx(200)
    assert resnet.accuracy_mean is None and resnet.models_per_core_hour is None
    files = [file for file in (home / "zoos" / "small").rglob("*") if file.is_file()]
    assert report.bytes == sum(file.stat().st_size for file in files)
    assert report.core_hours == pytest.approx(0.05)


def test_a_zoo_that_has_just_begun(tmp_path: Path) -> None:
    ZooSink(tmp_path).write_card("small", SPEC.model_dump(mode="json"))
    report = inspect_zoo(Zoo(tmp_path))
    assert [population.models["missing"] for population in report.populations] == [5, 5]


def test_a_model_of_no_spec_is_counted(tmp_path: Path) -> None:
    sink = ZooSink(tmp_path)
    sink.write_card("imported", {})
    sink.write(trained("cnn_s", 1))
    (population,) = inspect_zoo(Zoo(tmp_path)).populations
    assert population.models["trained"] == 1 and population.models["missing"] == 0
    assert population.accuracy_std is None


def test_the_command_prints_and_writes(inspect_command: Inspect, home: Path) -> None:
    for zoo in ([], [home / "zoos" / "small"]):
        code, output = inspect_command(*zoo)
        assert code == 0 and "resnet18 ×0.0625" in output and "at chance" in output and "█" in output
    report = json.loads((home / "results" / "zoo-small.json").read_text())
    assert report["populations"][0]["models"]["at_chance"] == 1
    assert (home / "results" / "zoo-small.png").stat().st_size > 1000


def test_damage_and_absence_are_one_sentence(inspect_command: Inspect, home: Path) -> None:
    cut(next((home / "zoos" / "small" / "models").iterdir()))
    for zoo, sentence in ((home / "zoos" / "small", "is damaged"), (home / "none", "is not a zoo")):
        code, output = inspect_command(zoo)
        assert code == 2 and sentence in output and "Traceback" not in output


def test_bars() -> None:
    assert bars((0, 1, 4, 8)) == " ▁▄█" and bars((0, 0)) == "  "
    assert bars((1, 1000)) == "▁█"
