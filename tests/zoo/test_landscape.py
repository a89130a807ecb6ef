"""The landscape of a zoo: measured cell by cell, written beside the parts, read with the checkpoints, drawn as maps."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from zoo_generation.data.load import images_of, load_images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.module import build_module
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
from zoobench.display.maps import borders
from zoobench.populations import TokenSet, select_checkpoints, write_token_set
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.landscape.cells import cell_names, measured_epoch
from zoobench.zoo.landscape.measure import LandscapeSettings, measured
from zoobench.zoo.landscape.phases import PhaseRule
from zoobench.zoo.landscape.report import report_of
from zoobench.zoo.landscape.survey import measure_landscape, write_cells
from zoobench.zoo.landscape.table import write_card
from zoobench.zoo.schema import LANDSCAPE, MEASURED
from zoobench.zoo.validation import validate_zoo

SETTINGS = LandscapeSettings(images=20, steps=3, probes=2, mixed=40, curve_epochs=1, late=2)
SPEC = {
    "datasets": "digits",
    "architectures": "resnet18",
    "width": 0.03125,
    "image_size": 8,
    "activation": "relu",
    "optimizer": "sgd",
    "learning_rate": 0.005,
    "batch_size": [16, 64],
    "seeds": 2,
    "fixed_seeds": True,
    "epochs": 2,
    "train_images": 100,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells of two models each, after one and after two epochs."""
    path, spec = tmp_path_factory.mktemp("plain") / "plain", make_spec(SPEC)
    sink = ZooSink(path)
    sink.write_card("plain", spec.model_dump(mode="json"))
    models = spec.models()
    images = load_images(dataset_key(models[0]), None)
    sink.write([each for start in (0, 2) for each in train_models(models[start : start + 2], images, 2)])
    return path


def rows_of(zoo: Zoo, epoch: int = 2) -> pd.DataFrame:
    rows = zoo.checkpoints[zoo.checkpoints["epoch"] == epoch].reset_index(drop=True)
    return rows.assign(cell=cell_names(rows))


@pytest.fixture(scope="module")
def found(plain: Path) -> pd.DataFrame:
    return measured(Zoo(plain), rows_of(Zoo(plain)), SETTINGS)


@pytest.fixture
def zoo(plain: Path, found: pd.DataFrame, tmp_path: Path) -> Path:
    """The zoo with its landscape."""
    path = tmp_path / "zoos" / "plain"
    shutil.copytree(plain, path)
    write_cells(path, found)
    how = {name: getattr(SETTINGS, name) for name in SETTINGS.__dataclass_fields__}
    write_card(path, {"settings": how, "rule": PhaseRule().model_dump()})
    return path


def test_a_cell_is_measured_as_alone(plain: Path, found: pd.DataFrame) -> None:
    rows = rows_of(Zoo(plain))
    assert list(found.columns) == LANDSCAPE.names and set(found["model_id"]) == set(rows["model_id"])
    one = rows[rows["cell"] == rows["cell"].iloc[-1]]
    alone = measured(Zoo(plain), one, SETTINGS).set_index("model_id")
    together = found.set_index("model_id").loc[alone.index]
    pd.testing.assert_frame_equal(alone, together, rtol=1e-3, atol=1e-6)
    assert found.drop(columns="phase").notna().all(axis=None)
    assert (
        found.groupby("cell")[["mode_connectivity", "cka", "ensemble_gain", "phase"]].nunique(dropna=False) == 1
    ).all(axis=None)


def test_pairs_and_ensembles_are_those_computed_by_hand(plain: Path, found: pd.DataFrame) -> None:
    zoo, rows = Zoo(plain), rows_of(Zoo(plain))
    one = rows[rows["cell"] == found["cell"].iloc[0]].sort_values("seed")
    weights, layout = zoo.weights(one)
    module = build_module(one.iloc[0])
    trained = [entry for entry in layout if "running" not in entry.name]
    parts = torch.cat([weights[:, entry.span] for entry in trained], dim=1).double()
    images = load_images(dataset_key(make_spec(SPEC).models()[0]), None)
    assert found["l2_distance"].iloc[0] == pytest.approx(float((parts[0] - parts[1]).norm()), rel=1e-5)
    test = images_of(one.iloc[0], "test")
    assert len(test.labels) == len(images.test)
    shares = logits(weights, layout, module, test.images).softmax(2).mean(0)
    together = float((shares.argmax(1) == test.labels).double().mean())
    gain = together - one["test_accuracy"].mean()
    assert found["ensemble_gain"].iloc[0] == pytest.approx(gain, abs=2e-3)
    lonely = measured(zoo, one[:1], replace(SETTINGS, late=1)).iloc[0]
    pairs = ["mode_connectivity", "cka", "cka_logits", "l2_distance", "matched_average_gain", "ensemble_gain"]
    assert lonely[[*pairs, "late_average_gain"]].isna().all() and lonely["phase"] is None


def test_a_landscape_is_read_with_the_checkpoints_and_into_token_sets(zoo: Path, tmp_path: Path) -> None:
    opened = Zoo(zoo)
    table = opened.checkpoints
    assert table["cell"].notna().sum() == 4 and len(table) == 8
    tokens = write_token_set(tmp_path / "tokens", select_checkpoints([opened]), "float32")
    names = [field.name for field in MEASURED]
    again = TokenSet.read(tmp_path / "tokens").populations[0].table
    pd.testing.assert_frame_equal(again[names], tokens.populations[0].table[names])
    assert again["hessian_trace"].notna().sum() == 4
    report = validate_zoo(zoo)
    assert report.valid, report.problems
    assert [check.count for check in report.checks if check.name == "landscape"] == [2]


def test_a_zoo_without_a_landscape_has_none_of_its_columns(plain: Path, tmp_path: Path) -> None:
    assert not {field.name for field in MEASURED} & set(Zoo(plain).checkpoints)
    write_token_set(tmp_path / "tokens", select_checkpoints([Zoo(plain)]), "float32")
    schema = pq.read_schema(next((tmp_path / "tokens").glob("*.parquet")))
    assert not {field.name for field in MEASURED} & set(schema.names)
    with pytest.raises(InputError, match="is not measured yet"):
        report_of(Zoo(plain))


def test_what_is_measured_is_not_measured_again_and_phases_follow_the_rule(zoo: Path) -> None:
    """Without a model to measure, no Ray is started."""
    before = measure_landscape(Zoo(zoo), 2, SETTINGS)
    assert before.table["models"].tolist() == [2, 2]
    lenient = PhaseRule(loss=100, connectivity=-100, likeness=0)
    after = measure_landscape(Zoo(zoo), 2, SETTINGS, lenient)
    assert set(after.table["phase"]) == {"IV-B"} and validate_zoo(zoo).valid
    with pytest.raises(InputError, match=r"was measured with other settings \(probes\)"):
        measure_landscape(Zoo(zoo), 2, replace(SETTINGS, probes=9))


def test_a_report_has_maps_and_their_numbers(zoo: Path, tmp_path: Path) -> None:
    report = report_of(Zoo(zoo))
    ((title, grid),) = report.grids("test_accuracy")
    assert "resnet18" in title and grid.index.tolist() == [16, 64] and grid.columns.tolist() == [0.03125]
    with pytest.raises(InputError, match="unknown metric of a landscape 'sharpness'"):
        list(report.grids("sharpness"))
    page = report.save(tmp_path / "results").read_text()
    assert page.count("<figure>") >= 10 and "mode connectivity of digits resnet18, epoch 2" in page
    record = json.loads((tmp_path / "results" / "landscape-plain.json").read_text())
    assert len(record["cells"]) == 2 and record["rule"]["loss"] == 0.05
    assert record["cells"][0]["batch_size"] == 16


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("cka", 1.5, "the column 'cka' must lie in"),
        ("phase", "V", "the column 'phase' must be one of I, II"),
        ("model_id", "nobody", "of a checkpoint that the zoo does not have"),
    ],
)
def test_a_wrong_landscape_is_not_valid(zoo: Path, column: str, value: object, words: str) -> None:
    file = sorted((zoo / "landscape").glob("*.parquet"))[0]
    table = pq.read_table(file)
    place = table.column_names.index(column)
    values = pa.array([value] * len(table), table.schema.field(column).type)
    pq.write_table(table.set_column(place, table.schema.field(column), values), file)
    report = validate_zoo(zoo)
    assert not report.valid and words in str(report.problems[0]) and file.name in str(report.problems[0])


def test_a_damaged_cell_is_named(zoo: Path) -> None:
    file = sorted((zoo / "landscape").glob("*.parquet"))[0]
    file.write_bytes(file.read_bytes()[:100])
    assert not validate_zoo(zoo).valid
    with pytest.raises(InputError, match=f"{file.name} is damaged"):
        _ = Zoo(zoo).checkpoints


def test_cells_are_named_by_what_models_share_alone() -> None:
    table = pd.DataFrame({"dataset": "digits", "batch_size": [8, 8, 16], "seed": [0, 1, 0], "epoch": 6, "dropout": 0.0})
    names = cell_names(table)
    assert names[0] == names[1] != names[2]
    other = table.assign(subset_seed=[None, None, 7.0], batch_size=table["batch_size"].astype(float))
    assert cell_names(other)[:2].tolist() == names[:2].tolist()
    assert cell_names(table.assign(epoch=7))[0] != names[0]


def test_a_spec_may_ask_for_a_landscape_and_its_models_stay_the_same() -> None:
    plain, asking = make_spec(SPEC), make_spec(SPEC | {"landscape_epoch": 1})
    assert [model.id for model in plain.models()] == [model.id for model in asking.models()]
    assert "landscape_epoch" not in plain.model_dump() and make_spec(asking.model_dump()) == asking
    assert make_spec(SPEC | {"landscape_epoch": 1, "checkpoint_epochs": [2]}).saved_epochs == (1, 2)
    with pytest.raises(InputError, match="landscape_epoch must name epochs from 0 to epochs=2"):
        make_spec(SPEC | {"landscape_epoch": 3})


def test_models_are_measured_before_the_rate_has_fallen() -> None:
    table = pd.DataFrame({"model_id": np.repeat(["a", "b"], 8), "epoch": [*range(1, 9)] * 2, "epochs": 8})
    assert measured_epoch(table.assign(schedule="onecycle")) == 6
    assert measured_epoch(table.assign(schedule="constant")) == 8
    assert measured_epoch(table.assign(schedule="onecycle"), 3) == 3
    with pytest.raises(InputError, match="not epoch 9 in common; name one of 1, 2"):
        measured_epoch(table.assign(schedule="constant"), 9)


def test_borders_lie_between_phases_alone() -> None:
    phases = pd.DataFrame([["I", "I", None], ["I", "II", "II"]])
    assert borders(phases) == [((1, 2), (1, 1)), ((1, 1), (1, 2))]
