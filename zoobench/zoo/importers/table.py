"""A folder of state dicts with a table of them: CSV, Parquet, JSON (a list of objects) or JSON lines.

Each row is a checkpoint: `file` (or `path`) within the folder, `model_id` or `model` if a model has several, `epoch`
(or `epochs`, if a model has one), and any of our columns of models and of checkpoints. A model has one seed and one
value of each hyperparameter: rows of "one model" that differ in them, for example because `model` is the architecture,
are several models. A learning rate that differs by epoch is that of a schedule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo_generation.errors import InputError
from zoobench.zoo.importers.columns import model_columns
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    SourceLayout,
    Told,
    inside,
)
from zoobench.zoo.importers.measured import key_of
from zoobench.zoo.importers.state import State, read_state
from zoobench.zoo.importers.tables import SUFFIXES, TableRows, canonical, read_rows
from zoobench.zoo.importers.values import UntakenError, clean, is_nothing, value_of
from zoobench.zoo.schema import CHECKPOINTS
from zoobench.zoo.sink import Row

FILE = ("file", "path")
MODEL = ("model_id", "model")
ONE = (
    *("dataset", "train_images", "architecture", "width", "activation", "init", "optimizer", "weight_decay", "dropout"),
    *("batch_size", "schedule", "augment", "seed", "order_seed"),
)
"""Columns with one value per model."""

RATE = "learning_rate"
EPOCH = CHECKPOINTS.field("epoch").type


@dataclass(frozen=True)
class TableRow:
    """An original row, its epoch and columns of `MODELS`, and notes on its values."""

    row: Row
    epoch: int | None
    columns: Row
    told: list[Told]


@dataclass(frozen=True)
class TableModel:
    """Rows of one model."""

    name: str
    rows: list[TableRow]
    told: Sequence[Told] = ()


def _matches(folder: Path) -> bool:
    return bool(_tables(folder))


def _candidates(folder: Path) -> list[Candidate]:
    tables = _tables(folder)
    if len(tables) != 1:
        found = f"{len(tables)} tables with a column 'file' ({', '.join(path.name for path in tables)})"
        raise InputError(f"{folder} holds {found}, but must hold one: leave the one that is meant")
    ((table, content),) = tables.items()
    groups = defaultdict(list)
    for number, row in enumerate(content.rows, 1):
        name = _first(row, (*MODEL, *FILE)) or f"row {number} of {table.name}"
        groups[name].append(TableRow(row, _epoch(row), *model_columns(row, name)))
    models = [model for name, rows in groups.items() for model in _models(name, rows)]
    models[0] = replace(models[0], told=[*content.told, *models[0].told])
    return [Candidate(model.name, partial(_read, folder, model)) for model in models]


TABLE = SourceLayout(
    _matches,
    _candidates,
    summary="state dicts and one table (CSV, Parquet, JSON, JSON lines) whose columns file, model, epoch describe them",
)


def _tables(folder: Path) -> dict[Path, TableRows]:
    """Each table of the folder that names files; anything in it that is not a row becomes an empty one, with a note."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.is_file():
            content = read_rows(path, lambda header: any(canonical(name) in FILE for name in header))
            if any(_first(row, FILE) for row in content.rows):
                found[path] = content
    return found


def _models(name: str, rows: list[TableRow]) -> list[TableModel]:
    """The models to which rows of one name belong, under names of their own."""
    parts, apart = [rows], []
    for column in ONE:
        if len({row.columns[column] for row in rows} - {None}) > 1:
            apart.append(column)
            parts = _parted(parts, lambda row: row.columns[column])  # noqa: B023, used at once
    if any(map(_repeats, parts)) and len({row.columns[RATE] for row in rows} - {None}) > 1:
        apart.append(RATE)
        parts = _parted(parts, lambda row: row.columns[RATE])
    if not apart and len(rows) > 1 and _first(rows[0].row, MODEL[:1]) is None and len({row.epoch for row in rows}) == 1:
        apart.append("file")
        parts = [[row] for row in rows]
    models = []
    for part in parts:
        first = part[0]
        said = "".join(f" {column}={first.columns.get(column, _first(first.row, FILE))}" for column in apart)
        models.append(TableModel(f"{name}{said}", part))
    if apart:
        what = f"rows of one 'model' differ in {', '.join(apart)}, and came in as models of their own"
        models[0] = replace(models[0], told=[Told(what, f": {name!r:.60}", name, lost=False)])
    return models


def _parted(parts: list[list[TableRow]], value: Callable[[TableRow], Any]) -> list[list[TableRow]]:
    """Parts in which all rows have one value."""
    result: list[list[TableRow]] = []
    for part in parts:
        groups = defaultdict(list)
        for row in part:
            groups[value(row)].append(row)
        result += groups.values()
    return result


def _repeats(rows: Sequence[TableRow]) -> bool:
    """Whether an epoch occurs twice among rows."""
    return len({row.epoch for row in rows}) < len(rows)


def _read(folder: Path, model: TableModel) -> FoundModel:
    name, rows = model.name, sorted(model.rows, key=lambda row: row.epoch or 0)
    params = {
        key: value
        for key, value in rows[0].row.items()
        if not _is_of_a_checkpoint(key) and all(row.row.get(key) == value for row in rows)
    }
    columns, told = _columns(name, rows)
    checkpoints: dict[int, FoundCheckpoint] = {}
    faults = []
    for row in rows:
        try:
            checkpoint = _checkpoint(folder, row, columns["epochs"] if len(rows) == 1 else None)
        except RejectedError as error:
            faults.append(Fault(name, row.epoch, str(error)))
            continue
        if checkpoints.setdefault(checkpoint.epoch, checkpoint) is not checkpoint:
            reason = f"its file {_first(row.row, FILE)!r:.200} is of an epoch it has: give each model a 'model_id'"
            faults.append(Fault(name, checkpoint.epoch, reason))
    return FoundModel(
        name=name,
        row=columns,
        whole=False,
        source={
            "layout": "table",
            "name": name,
            "params": params,
            "results": [{key: value for key, value in row.row.items() if key not in params} for row in rows],
        },
        history=[(row.epoch, row.row) for row in rows],
        checkpoints=[checkpoints[epoch] for epoch in sorted(checkpoints)],
        faults=faults,
        told=[*model.told, *told],
    )


def _columns(name: str, rows: Sequence[TableRow]) -> tuple[Row, list[Told]]:
    """The model's columns: common values of all rows that have one; of learning rates the highest."""
    told = list({each.what: each for row in rows for each in row.told}.values())
    columns = dict(rows[0].columns)
    for column in columns:
        values = [row.columns[column] for row in rows if row.columns[column] is not None]
        columns[column] = values[0] if values else None
        if len(set(values)) > 1 and column == RATE:
            columns[column] = max(values)
            what = "its learning rate differs by epoch, as a schedule's, and the highest came in"
            told.append(Told(what, f": {max(values):g}", name, lost=False))
        elif len(set(values)) > 1:
            columns[column] = None
            told.append(Told(f"its {column!r} differs by epoch, and a model has one: ", f"{values[:4]!r:.100}", name))
    return columns, told


def _checkpoint(folder: Path, row: TableRow, epochs: int | None) -> FoundCheckpoint:
    name = _first(row.row, FILE)
    if name is None:
        raise RejectedError("its row names no file")
    if row.epoch is None and (told := _first(row.row, ("epoch",))) is not None:
        raise RejectedError(f"its epoch {told!r:.60} is not a whole number")
    epoch = epochs if row.epoch is None else row.epoch
    if epoch is None or epoch < 0:
        raise RejectedError("its row does not say after which epoch the weights are: add a column 'epoch'")
    file = inside(folder, name)
    if "\\" in name and not file.exists():
        file = inside(folder, name.replace("\\", "/"))
    return FoundCheckpoint(epoch, row.row, partial(_weights, file, name))


def _epoch(row: Row) -> int | None:
    try:
        epoch = value_of(_first(row, ("epoch",)), EPOCH)
    except UntakenError:
        return None
    return None if epoch is None else int(epoch)


def _weights(file: Path, name: str) -> State:
    if not file.is_file():
        raise RejectedError(f"its file {name!r:.200} is missing")
    return read_state(file)


def _is_of_a_checkpoint(key: str) -> bool:
    return canonical(key) in (*FILE, "epoch") or key_of(key) is not None


def _first(row: Row, names: tuple[str, ...]) -> str | None:
    """The first value under one of these names, however spelled, as text."""
    for name in names:
        values = [row.get(name), *(value for key, value in row.items() if canonical(key) == name)]
        for value in values:
            if not is_nothing(value):
                return clean(str(value))
    return None
