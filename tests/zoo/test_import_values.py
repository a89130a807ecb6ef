"""Tables of others: a value is imported as meant, or reported; units and missing values are decided by column."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo.test_import import network, take

from zoobench.zoo import Zoo
from zoobench.zoo.importers import Imported
from zoobench.zoo.importers.measured import key_of
from zoobench.zoo.importers.values import UntakenError, value_of
from zoobench.zoo.schema import MODELS

Row = dict[str, Any]


def take_table(
    folder: Path, rows: list[Row] | str, suffix: str = "json", count: int | None = None
) -> tuple[Imported, Zoo]:
    """Models of different weights, `m0.pt` and on, with a table of these rows, or of this text."""
    (folder / "models").mkdir(parents=True)
    for seed in range(len(rows) if count is None else count):
        torch.save(network(seed=seed), folder / "models" / f"m{seed}.pt")
    if isinstance(rows, list):
        rows = json.dumps([{"file": f"m{number}.pt", "epoch": 5} | row for number, row in enumerate(rows)])
    (folder / "models" / f"table.{suffix}").write_text(rows)
    return take(folder / "models", folder / "zoo", dataset="mnist", layout="table")


def by_file(zoo: Zoo, column: str) -> list[Any]:
    """The column's values in the order of the models' files; None for null."""
    rows = zoo.checkpoints.assign(name=[json.loads(source)["name"] for source in zoo.checkpoints["source"]])
    return [None if pd.isna(value) else value for value in rows.sort_values(["name", "epoch"])[column]]


def reasons(result: Imported) -> str:
    return "; ".join(fault.reason for fault in result.faults)


def notes(result: Imported) -> str:
    return "; ".join(note.reason for note in result.notes)


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        ({"test_accuracy": [91.2, 87.5, 0.9]}, [0.912, 0.875, 0.009]),
        ({"test_acc": [1, 100, 55]}, [0.01, 1.0, 0.55]),
        ({"Test Accuracy (%)": [45.2, 1.0, 0.9]}, [0.452, 0.01, 0.009]),
        ({"test_acc_pct": [0.0, 45.2, None]}, [0.0, 0.452, None]),
        ({"test_accuracy": ["93.2%", "0.9 %", "-"]}, [0.932, 0.009, None]),
        ({"test_accuracy": [45.2, 60, 70], "val_accuracy": ["45%", "0.9%", "60%"]}, [0.452, 0.6, 0.7]),
    ],
)
def test_per_cent_become_shares_and_that_is_said(tmp_path: Path, given: Row, shares: list[float]) -> None:
    rows = [{key: values[number] for key, values in given.items()} for number in range(3)]
    result, zoo = take_table(tmp_path, rows)
    assert by_file(zoo, "test_accuracy") == shares and result.faults == ()
    assert notes(result).count("is in per cent: it came in as a share") == len(given)


@pytest.mark.parametrize(
    ("given", "doubtful"),
    [
        ({"test_accuracy": [45.2, 1.0, 1.0]}, ["test_accuracy"]),
        ({"test_accuracy": [0.9, 1.0, 0.8], "val_accuracy": [45.0, 50.0, 0.9]}, ["test_accuracy"]),
        ({"test_accuracy": ["93.2%", "0.9", 0.8]}, ["test_accuracy"]),
        ({"test_acc_pct": [0.91, 0.9, 1.0]}, ["test_acc_pct"]),
        ({"test_accuracy": [0.9, 0.8, 91.2], "val_accuracy": [0.9, 0.8, 0.7]}, ["test_accuracy", "val_accuracy"]),
    ],
)
def test_what_may_be_per_cent_or_a_share_does_not_come_in(tmp_path: Path, given: Row, doubtful: list[str]) -> None:
    result, zoo = take_table(tmp_path, [{key: values[number] for key, values in given.items()} for number in range(3)])
    assert [value for value in by_file(zoo, "test_accuracy") if value is not None] == [
        0.932 for value in given.get("test_accuracy", []) if value == "93.2%"
    ]
    assert [fault.reason.split("'")[1] for fault in result.faults] == doubtful, result.faults


def test_shares_stay_what_they_are(tmp_path: Path) -> None:
    """Values out of range are reported once, with the number of the others; rounding is not out of range."""
    result, zoo = take_table(
        tmp_path, [{"test_accuracy": value} for value in (0.1, 1.0, 0.0, 1.0000001, -0.1, -1, 300, None, "NaN", "n/a")]
    )
    assert by_file(zoo, "test_accuracy") == [0.1, 1.0, 0.0, 1.0, *[None] * 6]
    assert [fault.reason for fault in result.faults] == [
        "its 'test_accuracy' is not between 0 and 1: -0.1 (and 2 more)"
    ]


@settings(max_examples=20)
@given(values=st.lists(st.floats(1, 100) | st.floats(0, 1), min_size=1, max_size=8))
def test_no_accuracy_is_taken_for_a_hundred_times_itself(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    """In whatever unit it was written: all are per cent, or all are shares, or none comes in."""
    _, zoo = take_table(tmp_path_factory.mktemp("unit"), [{"test_accuracy": value} for value in values])
    found = by_file(zoo, "test_accuracy")
    known = [each for each in found if each is not None]
    assert known in ([], pytest.approx(values), pytest.approx([value / 100 for value in values]))
    assert max(values) > 1 or found == values


def test_metrics_that_are_none_of_ours_are_told(tmp_path: Path) -> None:
    unknown = {"accuracy (%)": 91.2, "best_val_acc": 0.5, "Test Error": "8.8%"}
    result, _ = take_table(tmp_path, [unknown | {"accuracy_note": "x", "error": "none"}])
    for name in ("accuracy (%)", "best_val_acc", "Test Error"):
        assert f"'{name}' is not a known metric" in reasons(result)
    assert len(result.faults) == 3


@pytest.mark.parametrize(
    ("key", "metric", "per_cent"),
    [
        ("Test Accuracy", "test_accuracy", False),
        ("valAcc", "val_accuracy", False),
        ("validation-accuracy[%]", "val_accuracy", True),
        ("TRAIN_LOSS", "train_loss", False),
        ("acc_test_percent", "test_accuracy", True),
        ("test_acc%", "test_accuracy", True),
    ],
)
def test_metrics_are_known_however_they_are_spelled(key: str, metric: str, per_cent: bool) -> None:
    found = key_of(key)
    assert found is not None and (found.metric, found.per_cent) == (metric, per_cent)


NAN = math.nan


@pytest.mark.parametrize(
    ("losses", "accuracies", "statuses"),
    [
        (["nan", "NaN", NAN], [0.9, 0.9, 0.05], ["trained", "trained", "at_chance"]),  # not measured of any
        ([0.5, NAN, "None"], [0.9, 0.9, 0.9], ["trained"] * 3),
        ([0.5, NAN, 0.4], [0.9, 0.1, 0.9], ["trained", "diverged", "trained"]),
        ([0.5, NAN, 0.4], [0.9, None, 0.9], ["trained"] * 3),  # its weights are finite
        ([0.5, math.inf, "-inf"], [0.9, 0.1, 0.9], ["trained", "diverged", "trained"]),
    ],
)
def test_what_was_not_measured_is_no_divergence(
    tmp_path: Path, losses: list[Any], accuracies: list[float | None], statuses: list[str]
) -> None:
    rows = [{"train_loss": loss, "test_accuracy": each} for loss, each in zip(losses, accuracies, strict=True)]
    _, zoo = take_table(tmp_path, rows)
    assert by_file(zoo, "status") == statuses
    known = [loss if isinstance(loss, float) and loss == loss else None for loss in losses]
    assert by_file(zoo, "train_loss") == known


def test_divergence_is_told_by_the_last_losses_and_weights(tmp_path: Path) -> None:
    """One model was taken for NaN in its first row alone, one diverged before its last checkpoint, one in it, and one
    lost only one of its losses."""
    models = tmp_path / "models"
    poisoned = {name: tensor * NAN for name, tensor in network(seed=3).items()}
    histories = {
        "first": [(NAN, NAN, 0.1), (2.0, 2.0, 0.3), (1.0, 1.0, 0.6)],
        "later": [(2.3, 2.3, 0.1), (NAN, NAN, 0.1), (NAN, NAN, 0.1)],
        "weights": [(2.3, 2.3, 0.1), (1.0, 1.0, 0.5), (None, None, 0.1)],
        "single": [(2.3, 2.3, 0.1), (1.0, 1.0, 0.5), (NAN, 1.0, 0.6)],
    }
    for seed, (name, history) in enumerate(histories.items()):
        folder = models / name
        for epoch in (0, 2) if name in ("weights", "single", "first") else (0,):
            (folder / f"checkpoint_{epoch}").mkdir(parents=True)
            state = poisoned if (name, epoch) == ("weights", 2) else network(seed=10 * seed + epoch)
            torch.save(state, folder / f"checkpoint_{epoch}" / "checkpoints")
        rows = [
            {"training_iteration": epoch, "train_loss": train, "test_loss": test, "test_acc": accuracy}
            for epoch, (train, test, accuracy) in enumerate(history)
        ]
        (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "params.json").write_text(json.dumps({"seed": seed, "dataset": "mnist"}))
    _, zoo = take(models, tmp_path / "zoo")
    named = {json.loads(row["source"])["name"]: row["status"] for row in zoo.models.to_dict("records")}
    assert named == {"first": "trained", "later": "diverged", "weights": "diverged", "single": "trained"}
    assert by_file(zoo, "train_loss") == [None, 1.0, 2.3, 2.3, None, 2.3]


TABLES = {
    "semicolons and decimal commas": """
file;epoch; Seed ;Learning Rate;test_acc
m0.pt;5;1.000;0,001;0,93
m1.pt;5;2;0,01;0,5""",
    "tabs": """
file\tepoch\tseed\tnote\tlearning_rate\ttest_accuracy
m0.pt\t5\t1000\t\t1e-3\t0.93
m1.pt\t5\t2\t\t.01\t.5
""",
    "blanks, a mark, upper case, empty lines": """\ufeff
FILE , Epoch, SEED,LearningRate,Test Accuracy
./m0.pt,5.0,1000,0.0010,93%

m1.pt, 5,2,0.01,50%
 , ,,,
""",
    "thousands": """
file,epoch,seed,learning_rate,test_accuracy
m0.pt,5,"1,000",0.001,0.93
m1.pt,5,2,0.01,0.5,,""",
    "quoted decimal commas": """
file,epoch,seed,learning_rate,test_accuracy
m0.pt,5,1000,"0,001","0,93"
m1.pt,5,2,"0,01","0,5"
""",
    "names that stand twice, alike": """
file,epoch,seed,Seed,optim::lr,test_acc
m0.pt,5,1000,1000,0.001,0.93
m1.pt,5,2,2,1e-2,0.5
""",
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_as_people_and_spreadsheets_write_them(tmp_path: Path, table: str) -> None:
    result, zoo = take_table(tmp_path, TABLES[table], "csv", 2)
    assert (by_file(zoo, "seed"), by_file(zoo, "learning_rate")) == ([1000, 2], [0.001, 0.01]), result.faults
    assert by_file(zoo, "test_accuracy") == [0.93, 0.5] and by_file(zoo, "epoch") == [5, 5]
    assert result.faults == ()


def test_what_of_a_table_cannot_be_taken_is_told(tmp_path: Path) -> None:
    text = (
        "file,epoch,seed,seed,learning_rate,test_accuracy,test_loss\nm0.pt,5,1,2,2026-01-01,0.5,\"1,234\"\n"
        "m1.pt,5,1,1,-1,0,93,0.5\nm2.pt,5,1\nm3.pt,2.5,1,1,0.1,0.2,0.3\n"
    )  # fmt: skip
    result, zoo = take_table(tmp_path, text, "csv", 4)
    told = reasons(result)
    assert by_file(zoo, "seed") == by_file(zoo, "learning_rate") == [None, None]
    assert "table.csv has several columns 'seed' that differ, and none of them was taken" in told
    assert "rows of table.csv have more cells than the header, and were left out: row 2" in told
    assert "'learning_rate' is not a number: '2026-01-01'" in told and "'test_loss' is not a number: '1,234'" in told
    assert "its epoch '2.5' is not a whole number" in told and len(result.faults) == 6
    assert "rows of table.csv have fewer cells than the header; what they lack is null: row 3" in notes(result)


def test_windows_paths_are_files_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "models" / "runs").mkdir(parents=True)
    torch.save(network(), tmp_path / "models" / "runs" / "a.pt")
    (tmp_path / "models" / "table.csv").write_text("Path,Epochs\n.\\runs\\a.pt,3\n..\\secret.pt,3\n")
    result, zoo = take(tmp_path / "models", tmp_path / "zoo", dataset="mnist")
    assert by_file(zoo, "epoch") == [3] and "does not lie in the folder" in reasons(result)


KINDS = {name: MODELS.field(name).type for name in ("seed", "learning_rate", "augment", "activation")}


@pytest.mark.parametrize(
    ("column", "given", "value"),
    [
        ("seed", "12.0", 12),
        ("seed", " 7 ", 7),
        ("seed", 12.5, UntakenError),
        ("seed", "1_000", UntakenError),
        ("seed", True, UntakenError),
        ("seed", 10**30, UntakenError),
        ("seed", "9" * 5000, UntakenError),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "<NA>", None),
        ("learning_rate", NAN, None),
        ("learning_rate", [0.1], UntakenError),
        ("augment", "Yes", True),
        ("augment", 0.0, False),
        ("augment", 2, UntakenError),
        ("activation", " n/a ", None),
        ("activation", 5, UntakenError),
    ],
)
def test_values(column: str, given: Any, value: Any) -> None:
    if value is UntakenError:
        with pytest.raises(UntakenError):
            value_of(given, KINDS[column])
    else:
        assert value_of(given, KINDS[column]) == value


def test_names_are_ours_where_they_are_spelled_otherwise(tmp_path: Path) -> None:
    """An activation that our networks do not have, or a missing one, is reported once."""
    given = ["ReLU", "nn.Tanh()", "torch.nn.modules.activation.GELU", "LeakyReLU", "leakyrelu", "none", None]
    result, zoo = take_table(
        tmp_path, [{"activation": each, "schedule": "OneCycleLR", "optimizer": "Adam"} for each in given]
    )
    assert by_file(zoo, "activation") == ["relu", "tanh", "gelu", "LeakyReLU", "leakyrelu", None, None]
    assert set(by_file(zoo, "schedule")) == {"onecycle"} and set(by_file(zoo, "optimizer")) == {"adam"}
    assert result.faults == () and [note.model for note in result.notes] == ["m3.pt", "m5.pt"]
    assert "is none of tanh, relu, gelu, sigmoid" in notes(result) and "is not given" in notes(result)


def test_values_out_of_range_are_told_once_a_column(tmp_path: Path) -> None:
    wrong = {"dropout": 1.5, "learning_rate": -1, "batch_size": 0, "weight_decay": "inf", "status": "good", "width": -1}
    result, zoo = take_table(tmp_path, [wrong | {"seed": seed} for seed in range(3)])
    for column in wrong.keys() - {"status", "width"}:
        assert by_file(zoo, column) == [None] * 3
    assert len(result.faults) == len(wrong) and all(fault.reason.endswith("(and 2 more)") for fault in result.faults)
