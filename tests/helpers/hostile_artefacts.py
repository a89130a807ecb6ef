"""Hostile and broken artefacts, with entries that describe them correctly."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from helpers.hostile_folders import Case, case
from helpers.hostile_zips import CASES
from helpers.submitting import Board, artefact, rewrite, seal
from safetensors.torch import load_file, save_file
from torch import Tensor


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/zoobench-was-here"),)


@case("a pickle, which is never opened", "generation", "property")
def pickled(folder: Path, board: Board) -> None:
    artefact(folder).write_bytes(pickle.dumps(Evil()))
    seal(folder)


@case("as torch.save writes them", "generation", "property")
def torch_saved(folder: Path, board: Board) -> None:
    torch.save({"digits-a/0": torch.zeros(1)}, artefact(folder))
    seal(folder)


@case("", "generation", "property")
def empty(folder: Path, board: Board) -> None:
    artefact(folder).write_bytes(b"")
    seal(folder)


@case("Git LFS", "generation", "property")
def pointer(folder: Path, board: Board) -> None:
    artefact(folder).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    seal(folder)


@case("at most", "generation", "property")
def too_large(folder: Path, board: Board) -> None:
    with artefact(folder).open("ab") as file:
        file.truncate(10**11)  # of which nothing is on the disk


def weights(name: str, says: str, edit: Callable[[dict[str, Tensor]], Any]) -> None:
    def spoil(folder: Path, board: Board) -> None:
        tensors = load_file(artefact(folder))
        save_file({key: value.contiguous() for key, value in edit(tensors).items()}, artefact(folder))
        seal(folder)

    CASES[f"weights_{name}"] = Case(spoil, "generation", says)


def _with(value: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def edit(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors["digits-b/1"][2, 5] = value
        return tensors

    return edit


for value in (float("nan"), float("inf"), -float("inf"), 3e38):
    weights(str(value), "'digits-b/1' is not finite in row 2", _with(value))
weights("float64", "at most", lambda of: {key: each.double() for key, each in of.items()})
weights("half", "must be F32", lambda of: {key: each.half() for key, each in of.items()})
weights("too_many", "must be [1 to 3, 2464]", lambda of: {key: torch.cat([each, each[:1]]) for key, each in of.items()})
weights("none", "must be [1 to 3, 2464]", lambda of: {key: each[:0] for key, each in of.items()})
weights("short", "must be [1 to 3, 2464]", lambda of: {key: each[:, 1:] for key, each in of.items()})
weights("flat", "must be [1 to 3, 2464]", lambda of: {key: each.flatten() for key, each in of.items()})
weights("missing_seed", "lacks the tensor 'digits-a/1'", lambda of: {k: v for k, v in of.items() if k != "digits-a/1"})
weights("missing_target", "lacks the tensor 'digits-b/0'", lambda of: {k: v for k, v in of.items() if "-a" in k})
weights("extra", "may hold only", lambda of: of | {"../\n\x1b[31m" + "x" * 999: torch.zeros(1)})


def header(name: str, says: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Another header, as JSON or as bytes."""

    def spoil(folder: Path, board: Board) -> None:
        content = artefact(folder).read_bytes()
        length = int.from_bytes(content[:8], "little")
        made = edit(json.loads(content[8 : 8 + length]))
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        artefact(folder).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
        seal(folder)

    CASES[f"header_{name}"] = Case(spoil, "generation", says)


def _entry(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda of: of | {"digits-a/0": of["digits-a/0"] | fields}


def _alike(of: dict[str, Any]) -> dict[str, Any]:
    return of | {"digits-a/0": of["digits-a/1"]}


header("overlap", "overlap, or have gaps", _alike)
header("offsets_beyond", "is not where its shape says", _entry(data_offsets=[0, 2**62]))
header("negative_offsets", "is not where its shape says", _entry(data_offsets=[-4, 100]))
header("shape_that_overflows", "must be [1 to 3, 2464]", _entry(shape=[2**32, 2**32]))
header("shape_of_truths", "must be [1 to 3, 2464]", _entry(shape=[True, True]))
header("shape_of_floats", "must be [1 to 3, 2464]", _entry(shape=[1e308, "x" * 999]))
header("more_fields", "must have exactly", _entry(pickle="x"))
header("twins", "is in it twice", lambda of: json.dumps(of).replace("digits-a/1", "digits-a/0").encode())
header("deep", "nested too deeply", lambda of: b'{"a":' + b"[" * 50_000)
header("large", "at most", lambda of: of | {"__metadata__": {"a": "x" * 200_000}})
header("list", "not a safetensors file", lambda of: b"[1, 2]")
header("strange_notes", "cannot be read", lambda of: of | {"__metadata__": [1]})
header("no_json", "damaged", lambda of: b"{" * 10 + b"\xff")


@case("header of at most")
def header_of_2_to_63_bytes(folder: Path, board: Board) -> None:
    artefact(folder).write_bytes(struct.pack("<Q", 2**63) + artefact(folder).read_bytes()[8:])
    seal(folder)


@case("was cut short, or holds more")
def bytes_behind_the_weights(folder: Path, board: Board) -> None:
    artefact(folder).write_bytes(artefact(folder).read_bytes() + b"PK\3\4 more")
    seal(folder)


def table(name: str, says: str, edit: Callable[[pd.DataFrame], pd.DataFrame], **options: Any) -> None:
    CASES[f"table_{name}"] = Case(lambda folder, board: rewrite(folder, edit, **options), "property", says)


def _cell(column: str, value: Any, row: int = 3) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def edit(of: pd.DataFrame) -> pd.DataFrame:
        of.loc[of.index[row], column] = value
        return of

    return edit


table("missing_rows", "but must have", lambda of: of.iloc[3:])
table("extra_rows", "but must have", lambda of: pd.concat([of, of.iloc[:3].assign(checkpoint="x")]))
table("rows_twice", "is in it twice", lambda of: pd.concat([of.iloc[1:], of.iloc[5:6]]))
table("checkpoint_unknown", "its checkpoint is none of", _cell("checkpoint", "<script>" + "x" * 50))
table("property_unknown", "its property is none of", _cell("property", "loss"))
table("target_missing", "lacks the target 'digits-b'", lambda of: of.assign(target="digits-a"))
table("seed_missing", "lacks the seed 1", lambda of: of.assign(seed=0))
table("nan", "needs a finite number", _cell("predicted", float("nan"), 0))
table("inf", "needs a finite number", _cell("predicted", float("inf"), 0))
table("class_of_a_number", "must have null in 'predicted_class'", _cell("predicted_class", "0.1", 0))
table("number_of_a_class", "must have null in 'predicted'", _cell("predicted", 1.0, -1))
table("no_class", "needs a class", _cell("predicted_class", None, -1))
table("empty_class", "an empty class", _cell("predicted_class", "", -1))
for strange in ("0.002", " 0.001", "0.001 ", "0_001", "−0.001", "٠.٠٠١", "1e-3x", "adam", "nan", "inf", "1e999"):
    table(
        f"class_{strange}",
        "is not among the classes of learning_rate: 0.001, 0.003",
        _cell("predicted_class", strange, -1),
    )


@case("names checkpoints as an earlier zoobench did", "property")
def names_that_told(folder: Path, board: Board) -> None:
    keys = zip(board.population.names, board.population.table["model_id"], board.population.table["epoch"], strict=True)
    former = {
        name: hashlib.sha256(f"checkpoint:{model}:{epoch}".encode()).hexdigest()[:16] for name, model, epoch in keys
    }
    rewrite(folder, lambda of: of.assign(checkpoint=of["checkpoint"].map(former)))


table("long_class", "more than 100 letters", _cell("predicted_class", "x" * 101, -1))
table("huge_class", "a text of", _cell("predicted_class", "x" * 10_000, -1))
table("string_bomb", "a text of", lambda of: of.assign(checkpoint="x" * 500_000))
table("compressed_bomb", "claims", lambda of: of.assign(checkpoint="x" * 5_000_000), compression="zstd")
table("seed_as_text", "must be target (string)", lambda of: of.assign(seed="1"))
table("small_integers", "must be target (string)", lambda of: of.astype({"seed": "int32"}))
table("times_as_integers", "not a plain column", lambda of: of.assign(seed=pd.to_datetime(of["seed"], unit="s")))
table("unsigned", "not a plain column", lambda of: of.astype({"seed": "uint64"}))
table("missing_column", "its columns must be", lambda of: of.drop(columns="seed"))
table("more_columns", "its columns must be", lambda of: of.assign(code="import os"))
table("nulls", "holds 1 nulls", _cell("checkpoint", None))
table("nested", "its columns must be", lambda of: of.assign(checkpoint=[[each] for each in of["checkpoint"]]))
table(
    "encoded_otherwise",
    "neither plain nor",
    lambda of: of,
    use_dictionary=False,
    column_encoding={"checkpoint": "DELTA_BYTE_ARRAY"},
)


def arrow(name: str, says: str, edit: Callable[[pa.Table], pa.Table], **options: Any) -> None:
    def spoil(folder: Path, board: Board) -> None:
        pq.write_table(edit(pq.read_table(artefact(folder))), artefact(folder), **options)
        seal(folder)

    CASES[f"arrow_{name}"] = Case(spoil, "property", says)


def _column(of: pa.Table, name: str, values: Any) -> pa.Table:
    return of.set_column(of.column_names.index(name), name, values)


class Named(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.string(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self) -> bytes:
        return pickle.dumps(Evil())

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Named:
        return cls()


def with_extension(path: Path) -> None:
    """Let models' ids be of an extension type that has a pickle in it."""
    of = pq.read_table(path)
    ids = pa.ExtensionArray.from_storage(Named(), of["checkpoint"].combine_chunks().cast(pa.string()))
    pq.write_table(_column(of, "checkpoint", ids), path)


arrow("binary", "not a plain column", lambda of: _column(of, "checkpoint", of["checkpoint"].cast(pa.binary())))
arrow("not_utf8", "", lambda of: _column(of, "checkpoint", _not_utf8(len(of))))
arrow("struct", "its columns must be", lambda of: _column(of, "seed", pa.array([{"a": 1}] * len(of))))


def _not_utf8(rows: int) -> pa.Array:
    offsets = np.arange(rows + 1, dtype=np.int32) * 2
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(b"\xff\xfe" * rows))
