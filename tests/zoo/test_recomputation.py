"""Metrics of a zoo, recomputed from its weights by `zoobench zoo validate --recompute`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zoo.test_validation import (
    SPEC,
    Command,
    column,
    command,  # noqa: F401
    fit_sums,
    saved,
)

from zoo_generation.data.load import load_images
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_model
from zoobench.zoo import ZooSink
from zoobench.zoo.parts import part_file, part_names
from zoobench.zoo.validation import validate_zoo


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that were trained, on digits."""
    path = tmp_path_factory.mktemp("real") / "real"
    spec = make_spec(SPEC | {"name": "real", "seeds": 2, "train_images": 200, "learning_rate": 3e-3})
    sink = ZooSink(path)
    sink.write_card("real", spec.model_dump(mode="json"))
    images = load_images(dataset_key(spec.models()[0]), None)
    sink.write([train_model(model, images) for model in spec.models()])
    return path


def test_metrics_are_those_of_the_weights(command: Command, real: Path, tmp_path: Path) -> None:  # noqa: F811
    code, output, error = command(real, "--recompute", 3)
    assert code == 0, error
    recomputed = saved(tmp_path, "real")["recomputed"]
    assert len(recomputed) == 6 and {each["split"] for each in recomputed} == {"test", "val"}
    assert "+0.00%" in output and command(real, "--recompute", 3)[1] == output
    for each in recomputed:
        assert each["recomputed"] == pytest.approx(each["recorded"], abs=0.006)
        assert each["recomputed_loss"] == pytest.approx(each["recorded_loss"], rel=1e-4)


def edited(real: Path, home: Path, table: str, edit: Callable[[pa.Table], pa.Table]) -> Path:
    """A copy of the real zoo with another table, and checksums that fit."""
    copy = home / "zoos" / "real"
    shutil.copytree(real, copy)
    (part,) = part_names(copy)
    pq.write_table(edit(pq.read_table(part_file(copy, table, part))), part_file(copy, table, part))
    fit_sums(copy, part)
    assert validate_zoo(copy).valid
    return copy


def test_metrics_of_other_weights_are_told(command: Command, real: Path, tmp_path: Path) -> None:  # noqa: F811
    def swap(table: pa.Table) -> pa.Table:
        return column("test_accuracy", lambda values: [*values[:-2], values[-1], values[-2]])(table)

    code, output, error = command(edited(real, tmp_path, "checkpoints", swap), "--recompute", 99)
    assert code == 2 and "2 problems" in error and output.count("is recorded with a test accuracy of") == 2


@pytest.mark.parametrize(
    ("table", "edit", "code", "sentence"),
    [
        (
            "checkpoints",
            lambda table: table.drop(["test_accuracy", "test_loss"]),
            0,
            "1 of 2 accuracies are not recorded",
        ),
        ("models", column("dataset", lambda names: ["nowhere"] * len(names)), 2, "unknown dataset 'nowhere'"),
        ("models", column("dataset", lambda names: ["mnist"] * len(names)), 2, "cannot be evaluated again"),
        ("models", column("architecture", lambda names: ["net"] * len(names)), 2, "unknown architecture 'net'"),
        ("models", column("architecture", lambda names: ["mlp"] * len(names)), 2, "is not that of the architecture"),
        ("models", column("activation", lambda names: [None] * len(names)), 2, "cannot be evaluated again"),
    ],
)
def test_what_cannot_be_compared_is_told(
    command: Command,  # noqa: F811
    real: Path,
    tmp_path: Path,
    table: str,
    edit: Callable[[pa.Table], pa.Table],
    code: int,
    sentence: str,
) -> None:
    ended, output, error = command(edited(real, tmp_path, table, edit), "--recompute", 1)
    assert ended == code and sentence in output and "Traceback" not in output + error
