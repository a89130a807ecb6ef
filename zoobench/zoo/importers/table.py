"""A folder of state dicts with a table that says what they are: CSV, Parquet, JSON (a list of objects) or JSON lines.

Each row is a checkpoint: `file` (or `path`) within the folder, `model_id` or `model` where a model has several,
`epoch` (or `epochs`, where a model has one), and any of our columns of models and of checkpoints.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zoo_generation.errors import InputError
from zoobench.zoo.importers.columns import coerced, metrics_of, model_columns
from zoobench.zoo.importers.files import read_inside
from zoobench.zoo.importers.found import Candidate, Fault, FoundCheckpoint, FoundModel, SourceLayout, inside, line_of
from zoobench.zoo.importers.state import State, read_state
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.published import RESULTS
from zoobench.zoo.schema import CHECKPOINTS
from zoobench.zoo.sink import Row

FILE = ("file", "path")
MODEL = ("model_id", "model")
SUFFIXES = (".csv", ".parquet", ".json", ".jsonl")
OF_A_CHECKPOINT = {*FILE, "epoch", *RESULTS, *RESULTS.values()}


def _matches(folder: Path) -> bool:
    return bool(_tables(folder))


def _candidates(folder: Path) -> list[Candidate]:
    tables = _tables(folder)
    if len(tables) != 1:
        found = f"{len(tables)} tables with a column 'file' ({', '.join(path.name for path in tables)})"
        raise InputError(f"{folder} holds {found}, and must hold one: leave the one that is meant")
    ((table, rows),) = tables.items()
    groups = defaultdict(list)
    for number, row in enumerate(rows, 1):
        groups[_first(row, (*MODEL, *FILE)) or f"row {number} of {table.name}"].append(row)
    return [Candidate(name, partial(_read, folder, name, rows)) for name, rows in groups.items()]


TABLE = SourceLayout(_matches, _candidates)


def _tables(folder: Path) -> dict[Path, list[Row]]:
    """Rows of each table of the folder that names files; what is no row in it stands as an empty one, to be told."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.is_file():
            rows = _rows(path)
            if any(key in row for row in rows for key in FILE):
                found[path] = rows
    return found


def _rows(path: Path) -> list[Row]:
    """The rows of a table; none where it cannot be read as one."""
    try:
        content = read_inside(path)
        if path.suffix == ".parquet":
            return pq.read_table(io.BytesIO(content)).to_pylist()
        text = content.decode("utf-8-sig", "replace")
        if path.suffix == ".csv":
            return [{str(key): value for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]
        if path.suffix == ".jsonl":
            rows = [line_of(line) for line in text.split("\n") if line.strip()]
        else:
            rows = json.loads(text)
    except (RejectedError, OSError, ValueError, OverflowError, RecursionError, csv.Error, pa.ArrowException):
        return []
    return [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []


def _read(folder: Path, name: str, rows: list[Row]) -> FoundModel:
    rows = sorted(rows, key=lambda row: _epoch(row) or 0)
    params = {
        key: value
        for key, value in rows[0].items()
        if key not in OF_A_CHECKPOINT and all(row.get(key) == value for row in rows)
    }
    columns = model_columns(params)
    checkpoints: dict[int, FoundCheckpoint] = {}
    faults = []
    for row in rows:
        try:
            checkpoint = _checkpoint(folder, row, columns["epochs"] if len(rows) == 1 else None)
        except RejectedError as error:
            faults.append(Fault(name, _epoch(row), str(error)))
            continue
        if checkpoints.setdefault(checkpoint.epoch, checkpoint) is not checkpoint:
            faults.append(Fault(name, checkpoint.epoch, f"its file {_first(row, FILE)!r:.200} is of an epoch it has"))
    return FoundModel(
        name=name,
        row=columns,
        whole=False,
        source={
            "layout": "table",
            "name": name,
            "params": params,
            "results": [{key: value for key, value in row.items() if key not in params} for row in rows],
        },
        history=[metrics_of(row) for row in rows],
        checkpoints=[checkpoints[epoch] for epoch in sorted(checkpoints)],
        faults=faults,
    )


def _checkpoint(folder: Path, row: Row, epochs: int | None) -> FoundCheckpoint:
    name = _first(row, FILE)
    if name is None:
        raise RejectedError("its row names no file")
    epoch = epochs if _epoch(row) is None else _epoch(row)
    if epoch is None or epoch < 0:
        raise RejectedError("its row does not say after which epoch the weights are: add a column 'epoch'")
    return FoundCheckpoint(epoch, metrics_of(row), partial(_weights, inside(folder, name), name))


def _epoch(row: Row) -> int | None:
    epoch: int | None = coerced(row.get("epoch"), CHECKPOINTS.field("epoch").type)
    return epoch


def _weights(file: Path, name: str) -> State:
    if not file.is_file():
        raise RejectedError(f"its file {name!r:.200} is missing")
    return read_state(file)


def _first(row: Row, keys: tuple[str, ...]) -> str | None:
    values: list[Any] = [row.get(key) for key in keys]
    return next((str(value).encode("utf-8", "replace").decode() for value in values if value not in (None, "")), None)
