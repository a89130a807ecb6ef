"""Damage to a token set: every kind is refused in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from zoo.test_zoo import trained

from zoo_generation.files import write_sums
from zoobench.cli.app import app
from zoobench.populations import parquet as parquet_files
from zoobench.populations import select_checkpoints, write_token_set
from zoobench.populations.validation import problems_of
from zoobench.zoo import Zoo, ZooSink


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    sink = ZooSink(folder / "zoo")
    sink.write_card("zoo", {})
    for architecture in ("cnn_s", "resnet18"):
        sink.write(trained(architecture, 8))
    write_token_set(folder / "tokens", select_checkpoints([Zoo(folder / "zoo")]))
    return folder / "tokens"


@pytest.fixture
def tokens(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "tokens")
    return tmp_path / "tokens"


def refuse(path: Path, sentence: str = "") -> None:
    problems = list(problems_of(path))
    assert problems and all("\n" not in problem for problem in problems)
    assert any(sentence in problem for problem in problems), problems


def edit_card(path: Path, **fields: object) -> None:
    """Other fields in the card, with checksums that fit."""
    card = path / "tokens.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | fields))
    write_sums(path)


def edit_table(path: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Another table in a population's file, with size and checksums that fit."""
    file = path / "digits-cnn_s-1x28.parquet"
    table = edit(pq.read_table(file))
    weights = torch.from_numpy(table["weights"].combine_chunks().flatten().to_numpy().copy()).view(len(table), -1)
    parquet_files.write_checkpoints(file, [(table.drop(["weights"]), weights)], weights.shape[1], "float32")
    fit_card(path)


def fit_card(path: Path) -> None:
    populations = json.loads((path / "tokens.json").read_text())["populations"]
    for population in populations:
        population["bytes"] = (path / f"{population['name']}.parquet").stat().st_size
    edit_card(path, populations=populations)


def test_a_sound_one_has_no_problems(sound: Path) -> None:
    assert list(problems_of(sound)) == []


@given(data=st.data())
def test_every_corrupted_byte_is_found(sound: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(sound.glob("[!.]*"))))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    try:
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        refuse(sound)
    finally:
        file.write_bytes(content)


@given(data=st.data())
def test_every_cut_file_is_found(sound: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(sound.glob("[!.]*"))))
    content = file.read_bytes()
    try:
        file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        refuse(sound)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format": "zoobench-tokens/2"}, "reads 'zoobench-tokens/1'"),
        ({"dtype": "float64"}, "dtype"),
        ({"dtype": "float16"}, "its weights are fixed_size_list<element: float not null>"),
        ({"token_size": "many"}, "token_size"),
        ({"token_size": 0}, "token_size"),
        ({"populations": [{"name": "../../etc/passwd"}]}, "populations.0.name"),
        ({"populations": None}, "populations"),
    ],
)
def test_a_card_that_says_something_else(tokens: Path, fields: dict[str, object], sentence: str) -> None:
    edit_card(tokens, **fields)
    refuse(tokens, sentence)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda table: table.drop(["epoch"]), "the column 'epoch' is missing"),
        (lambda table: table.set_column(1, "model_id", pa.array(range(len(table)))), "'model_id' is of type int64"),
        (lambda table: table.set_column(1, "model_id", pa.nulls(len(table), pa.string())), "holds a null"),
        (lambda table: table.take(list(range(len(table)))[::-1]), "ordered by split"),
        (lambda table: pa.concat_tables([table[:1], table[:-1]]), "is in it twice"),
    ],
)
def test_a_table_that_is_another(tokens: Path, edit: Callable[[pa.Table], pa.Table], sentence: str) -> None:
    edit_table(tokens, edit)
    refuse(tokens, sentence)


def test_columns_that_may_be_missing_and_others_that_are_more(tokens: Path) -> None:
    """The rules of compatibility: a column that may be null may be missing, and nobody minds another one."""
    edit_table(tokens, lambda table: table.drop(["activation"]).append_column("more", pa.array(range(len(table)))))
    assert list(problems_of(tokens)) == []


def test_one_model_in_two_splits(tokens: Path) -> None:
    def mix(table: pa.Table) -> pa.Table:
        ids = pd.Series(table["model_id"].to_pylist())
        return table.set_column(1, table.schema.field(1), pa.array([ids.iloc[0], *ids[1:-1], ids.iloc[0]]))

    edit_table(tokens, mix)
    refuse(tokens, "in several splits")


def test_weights_that_are_not_finite(tokens: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        flat = table["weights"].combine_chunks().flatten().to_numpy().copy()
        flat[17] = float("nan")
        field = table.schema.field("weights")
        return table.set_column(0, field, pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field.type))

    edit_table(tokens, spoil)
    refuse(tokens, "not finite")


def test_parquet_of_another_writer_is_refused(tokens: Path) -> None:
    """Compressed, or in several pages: it is sound Parquet, and cannot be mapped."""
    file = tokens / "digits-resnet18-w0.0625-1x32.parquet"
    whole = pq.read_table(file)
    for options in ({}, {"compression": "none", "use_dictionary": False, "data_page_size": 4096}):
        pq.write_table(whole, file, **options)
        fit_card(tokens)
        refuse(tokens, "damaged")


def test_a_file_too_many(tokens: Path) -> None:
    (tokens / "notes.txt").touch()
    refuse(tokens, "is not a file of a token set")


def test_the_commands(sound: Path, tokens: Path, tmp_path: Path) -> None:
    run = CliRunner()
    zoo = sound.parent / "zoo"
    made = run.invoke(app, ["tokens", "build", "--zoo", str(zoo), "--out", str(tmp_path / "made")])
    assert made.exit_code == 0, made.output
    for file in sorted(sound.iterdir()):
        assert file.read_bytes() == (tmp_path / "made" / file.name).read_bytes()
    assert run.invoke(app, ["tokens", "validate", str(tokens)]).exit_code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    refused = run.invoke(app, ["tokens", "build", "--zoo", str(zoo), "--out", str(tmp_path / "other")])
    assert "exists and is not a token set" in str(refused.exception)
    assert (tmp_path / "other" / "thesis.tex").exists()
    (tokens / "tokens.json").write_text("{")
    assert "not JSON" in str(run.invoke(app, ["tokens", "validate", str(tokens)]).exception)
