"""Zoos that leave: what is exported comes back as it was, is what others' readers expect, and is never half-written."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import shared
from zoo.test_validation import column, edit_table, first, put, write
from zoo.test_zoo import trained

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoobench.cli.app import main
from zoobench.populations import select_checkpoints
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.exporters import export_zoo
from zoobench.zoo.importers import import_zoo
from zoobench.zoo.parts import part_file
from zoobench.zoo.validation import validate_zoo

THERE_AND_BACK = ("modelzoos", "safetensors")
LAST = {"part", "row"}  # columns that say where weights lie


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A zoo of two architectures in three parts, with models that diverged, one before any checkpoint."""
    write(tmp_path / "zoos" / "zoo")
    return tmp_path / "zoos" / "zoo"


def again(zoo: Zoo, target: str, folder: Path) -> Zoo:
    """The zoo after an export and an import, in which nothing may be left out."""
    export_zoo(zoo, target, folder / target)
    result = import_zoo(folder / target, folder / f"{target}-zoo", "again", layout=target)
    assert [fault for fault in result.faults if "is missing, and most" not in fault.reason] == []
    assert validate_zoo(folder / f"{target}-zoo").valid
    return Zoo(folder / f"{target}-zoo")


def assert_identical(one: Zoo, other: Zoo) -> None:
    """All tables and all weights, bit for bit."""
    for table in ("models", "checkpoints"):
        ours, theirs = (getattr(each, table).drop(columns=LAST, errors="ignore") for each in (one, other))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    for _, rows in one.checkpoints.groupby("architecture"):
        weights, layout = one.weights(rows)
        others, other_layout = other.weights(other.checkpoints.loc[rows.index])
        assert layout == other_layout and torch.equal(weights.view(torch.int32), others.view(torch.int32))


def test_the_reference_zoo_goes_there_and_back(tmp_path: Path) -> None:
    """The exported tree holds the original's state dicts, params and results; the import of it is the same zoo."""
    folder = shared("reference/zoo_mnist_cnn_s")
    import_zoo(folder, tmp_path / "zoo", "zoo")
    zoo = Zoo(tmp_path / "zoo")
    assert_identical(zoo, again(zoo, "modelzoos", tmp_path))
    exported = sorted((tmp_path / "modelzoos").glob("*/checkpoint_*/checkpoints"))
    assert len(exported) == 66
    for file in exported:
        ours, theirs = (
            torch.load(each, weights_only=True) for each in (file, folder / file.relative_to(tmp_path / "modelzoos"))
        )
        assert type(ours) is type(theirs) and list(ours) == list(theirs)
        for name, tensor in theirs.items():
            assert tensor.dtype == ours[name].dtype and torch.equal(tensor, ours[name])
    trials = [trial for trial in (tmp_path / "modelzoos").iterdir() if trial.is_dir()]
    assert len(trials) == 23
    for trial in trials:
        original = folder / trial.name
        assert json.loads((trial / "params.json").read_text()) == json.loads((original / "params.json").read_text())
        results = [[json.loads(line) for line in (each / "result.json").open()] for each in (trial, original)]
        assert results[0] == results[1]


@pytest.mark.parametrize("target", THERE_AND_BACK)
def test_a_zoo_of_ours_goes_there_and_back(path: Path, target: str, tmp_path: Path) -> None:
    assert_identical(Zoo(path), again(Zoo(path), target, tmp_path))


def test_published_readers_find_what_they_look_for(tmp_path: Path) -> None:
    """A row of results for each epoch by its position, and state dicts that load strictly into a module."""
    sink = ZooSink(tmp_path / "zoo")
    sink.write_card("zoo", {})
    sink.write(trained("resnet18", 1))
    zoo = Zoo(tmp_path / "zoo")
    export_zoo(zoo, "modelzoos", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (trial,) = (each for each in (tmp_path / "out").iterdir() if each.is_dir())
    params = json.loads((trial / "params.json").read_text())
    assert {key: params[key] for key in config} == config and config["model::type"] == "Resnet18_width"
    rows = [json.loads(line) for line in (trial / "result.json").open()]
    assert [row["training_iteration"] for row in rows] == [0, 1, 2]
    assert [row["test_acc"] for row in rows] == zoo.checkpoints["test_accuracy"].tolist()
    module = get_architecture("resnet18").build(channels=1, classes=10, activation="relu", dropout=0.0, width=0.0625)
    for epoch in range(3):
        state = torch.load(trial / f"checkpoint_{epoch:06d}" / "checkpoints", weights_only=True)
        assert list(state) == list(module.state_dict())
        module.load_state_dict(state)


@pytest.fixture
def dataset(path: Path, tmp_path: Path) -> Path:
    export_zoo(Zoo(path), "huggingface", tmp_path / "dataset", licence="cc-by-4.0")
    return tmp_path / "dataset"


def front_matter(card: str) -> dict[str, Any]:
    match = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert match
    content: dict[str, Any] = yaml.safe_load(match[1])
    return content


def test_a_dataset_is_read_as_its_card_says(
    path: Path,
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every configuration and split, and the card's own example, run as it stands."""
    datasets = pytest.importorskip("datasets", reason="the package 'datasets' is not installed: pip install '.[test]'")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    card = (dataset / "README.md").read_text()
    matter = front_matter(card)
    assert matter["license"] == "cc-by-4.0" and (dataset / "plots" / "test-accuracy.png").stat().st_size > 1000
    source = Zoo(path)
    rows = 0
    for config in matter["configs"]:
        loaded = datasets.load_dataset(str(dataset), config["config_name"])
        for split, content in loaded.items():
            weights = content.with_format("numpy")["weights"][:]
            for row, flat in zip(content.remove_columns("weights"), weights, strict=True):
                rows += 1
                same = (source.checkpoints["model_id"] == row["model_id"]) & (
                    source.checkpoints["epoch"] == row["epoch"]
                )
                (expected,) = source.checkpoints[same].to_dict("records")
                assert {key: row[key] for key in ("status", "test_accuracy", "learning_rate", "seed")} == {
                    key: expected[key] for key in ("status", "test_accuracy", "learning_rate", "seed")
                }
                assert np.array_equal(flat, source.weights(source.checkpoints[same])[0][0])
            assert split in {"train", "validation", "test"}
    assert rows == len(source.checkpoints)

    monkeypatch.chdir(dataset)
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(snippet, names)
    row, state = names["row"], names["state"]
    same = (source.checkpoints["model_id"] == row["model_id"]) & (source.checkpoints["epoch"] == row["epoch"])
    weights, layout = source.weights(source.checkpoints[same])
    expected = layout.unflatten(weights[0])
    assert list(state) == list(expected) and all(torch.equal(state[name], expected[name]) for name in state)


def test_a_dataset_is_split_as_token_sets_are(path: Path, dataset: Path) -> None:
    """By model: a model is in one split, and in the same one wherever the zoo is learned from."""
    splits: dict[str, str] = {}
    for file in dataset.glob("data/*/*.parquet"):
        for model in pq.read_table(file, columns=["model_id"])["model_id"].to_pylist():
            assert splits.setdefault(model, file.stem) == file.stem
    for source in select_checkpoints([Zoo(path)]).sources:
        for model, split in zip(source.table["model_id"], source.table["split"], strict=True):
            assert splits[model] == {"val": "validation"}.get(split, split)


HOSTILE = "](http://x) <script>alert(1)</script> `$name` | ![x](y) \x1b[31m\nnew: line"


def test_a_card_shows_hostile_names_as_what_they_are(path: Path, tmp_path: Path) -> None:
    edit_table(path, "models", column("dataset", lambda values: [HOSTILE for _ in values]))
    card = json.loads((path / "zoo.json").read_text())
    (path / "zoo.json").write_text(json.dumps(card | {"hardware": HOSTILE, "spec": {"name": HOSTILE}}))
    export_zoo(Zoo(path), "huggingface", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "\x1b" not in text
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert re.search(r"(?<!\\)(<script|\]\(http)", outside_code) is None
    for config in front_matter(text)["configs"]:
        for file in config["data_files"]:
            assert (tmp_path / "out" / file["path"]).resolve().is_relative_to(tmp_path / "out" / "data")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """`zoobench zoo export`, which must end with exit code 2, one sentence, and nothing left behind."""
    monkeypatch.setenv("COLUMNS", "200")

    def refused(*arguments: object) -> str:
        before = set(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["zoobench", "zoo", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        error = capfd.readouterr().err
        assert end.value.code == 2 and error.startswith("Error: ") and error.count("\n") == 1 and len(error) < 600
        assert set(tmp_path.rglob("*")) == before
        return error

    return refused


def test_options_that_make_no_sense_are_refused(command: Callable[..., str], path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "safetensors" in command(path, "--to", "pickles", "--out", out)
    assert "no zoo" in command(tmp_path, "--to", "safetensors", "--out", out)
    assert "is there already" in command(path, "--to", "safetensors", "--out", path)
    assert "no place for a licence" in command(path, "--to", "modelzoos", "--out", out, "--licence", "mit")
    assert "mit, cc-by-4.0" in command(path, "--to", "huggingface", "--out", out, "--licence", "Do: what\nyou want")


def renamed(name: str) -> Callable[[Path], None]:
    """The second model's id, in both tables."""

    def edit(path: Path) -> None:
        old = pq.read_table(part_file(path, "models", first(path)))["model_id"][1].as_py()
        for table in ("models", "checkpoints"):
            edit_table(path, table, column("model_id", lambda ids: [name if each == old else each for each in ids]))

    return edit


def source_of(name: str) -> Callable[[Path], None]:
    source = json.dumps({"layout": "modelzoos", "name": name, "params": {}, "results": []})
    return lambda path: edit_table(path, "models", column("source", put(source)))


def cut(path: Path) -> None:
    file = part_file(path, "weights", first(path))
    file.write_bytes(file.read_bytes()[:-100])


def twice(path: Path) -> None:
    edit_table(path, "models", lambda table: pa.concat_tables([table, table]))


DAMAGE = {
    "leaves its folder": (renamed("../../escaped"), "safetensors", "cannot be a folder's name"),
    "is hidden": (renamed(".hidden"), "safetensors", "cannot be a folder's name"),
    "is long": (renamed("x" * 300), "safetensors", "cannot be a folder's name"),
    "holds nothing": (renamed("\0"), "safetensors", "cannot be a folder's name"),
    "came as ..": (source_of(".."), "modelzoos", "cannot be a folder's name"),
    "came as the config": (source_of("config.json"), "modelzoos", "already holds something of that name"),
    "weights cut": (cut, "huggingface", "damaged"),
    "models twice": (twice, "safetensors", "twice"),
    "late epoch": (
        lambda path: edit_table(path, "checkpoints", column("epoch", put(10**6))),
        "modelzoos",
        "allows at most 999999",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_and_hostile_zoos_are_refused(
    command: Callable[..., str],
    path: Path,
    tmp_path: Path,
    damage: str,
) -> None:
    harm, target, reason = DAMAGE[damage]
    harm(path)
    assert reason in command(path, "--to", target, "--out", tmp_path / "out")


@pytest.mark.parametrize("target", [*THERE_AND_BACK, "huggingface"])
def test_a_full_disk_is_told_and_leaves_nothing(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
) -> None:
    written = Path.write_text

    def full(self: Path, *arguments: Any, **named: Any) -> int:
        if sum(each.is_file() for each in (tmp_path / "exports").rglob("*")) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(self, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        export_zoo(Zoo(path), target, tmp_path / "exports" / "out")
    assert list((tmp_path / "exports").iterdir()) == []
