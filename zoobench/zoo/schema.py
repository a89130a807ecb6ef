"""The columns of a zoo's tables and weights files: `docs/format.md` in code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count
from typing import Any

import pandas as pd
import pyarrow as pa

from zoo_generation.names import file_name
from zoo_generation.networks.architectures import Layout

FORMAT = "zoobench-zoo/1"
POPULATION = ["dataset", "architecture", "width", "channels", "classes", "image_size"]
"""Columns that a population's models share: one architecture, one dataset, one layout of weights."""

NAME = 100  # letters of a population's name, at most


def _column(name: str, kind: pa.DataType, meaning: str, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"meaning": meaning})


MODELS = pa.schema(
    [
        _column("model_id", pa.string(), "Identifies the model in the zoo and in every other zoo.", required=True),
        _column("status", pa.string(), "`trained`, `at_chance` or `diverged`.", required=True),
        _column("dataset", pa.string(), "Name of the image dataset.", required=True),
        _column("train_images", pa.int64(), "Training images used; null: all."),
        _column("architecture", pa.string(), "Registered name, or `package.module:function`.", required=True),
        _column("width", pa.float64(), "Multiplier of the architecture's channels.", required=True),
        _column("image_size", pa.int64(), "Height and width of the images, pixels.", required=True),
        _column("activation", pa.string(), "`tanh`, `relu`, `gelu`, `sigmoid` or another name."),
        _column("init", pa.string(), "Initialization of the weights."),
        _column("optimizer", pa.string(), "`adam`, `sgd` or another name."),
        _column("learning_rate", pa.float64(), "Learning rate; the highest one of a schedule."),
        _column("weight_decay", pa.float64(), "Weight decay, as the optimizer defines it."),
        _column("dropout", pa.float64(), "Probability that a unit is dropped, in [0, 1)."),
        _column("batch_size", pa.int64(), "Images a training step."),
        _column("schedule", pa.string(), "`constant` or `onecycle`."),
        _column("augment", pa.bool_(), "Whether training images were cropped and flipped at random."),
        _column("epochs", pa.int64(), "Epochs the model was to be trained.", required=True),
        _column("seed", pa.int64(), "Seed of initialization, order of images, dropout and all else that is drawn."),
        _column("order_seed", pa.int64(), "Seed of the order of images, where it is not `seed`."),
        _column("channels", pa.int64(), "Channels of the images.", required=True),
        _column("classes", pa.int64(), "Classes of the dataset: outputs of the model.", required=True),
        _column("data_part", pa.string(), "Part of training and validation images, such as `iid-0-of-2`; null: all."),
        _column("subset_fraction", pa.float64(), "Share of the training images that the model saw; null: all."),
        _column("subset_seed", pa.int64(), "Seed of that random subset."),
        _column("parent", pa.string(), "`model_id` of the model whose weights training started from; null: none."),
        _column("parent_epoch", pa.int64(), "The epoch after which the parent has these weights."),
        _column("loss", pa.string(), "`mse` (mean squared error of one output); null: cross-entropy."),
        _column("momentum", pa.float64(), "Momentum of `sgd`; null: 0.9."),
        _column("seconds", pa.float64(), "Time one core trained the model, seconds."),
        _column(
            "source",
            pa.string(),
            "JSON: what an imported model came with, or a generated one was made of; null of one trained here.",
        ),
    ]
)
"""One row per model."""

CHECKPOINTS = pa.schema(
    [
        _column("model_id", pa.string(), "The model.", required=True),
        _column("epoch", pa.int64(), "Epochs trained; 0 is the initialization.", required=True),
        _column("train_loss", pa.float64(), "Mean cross-entropy on training images, nats, or the model's `loss`."),
        _column("train_accuracy", pa.float64(), "Share of training images classified rightly, in [0, 1]."),
        _column("val_loss", pa.float64(), "The same on validation images."),
        _column("val_accuracy", pa.float64(), "Share of validation images classified rightly, in [0, 1]."),
        _column("test_loss", pa.float64(), "The same on test images."),
        _column("test_accuracy", pa.float64(), "Share of test images classified rightly, in [0, 1]."),
        _column("part", pa.string(), "The part whose weights file holds the weights.", required=True),
        _column("row", pa.int64(), "Their row in that file.", required=True),
    ]
)
"""One row per checkpoint."""

MEASURED = [
    _column("cell", pa.string(), "Names what the model shares with those that differ from it in their seeds alone."),
    _column("hessian_top_eigenvalue", pa.float64(), "Largest eigenvalue of the Hessian of the training loss."),
    _column("hessian_trace", pa.float64(), "Trace of that Hessian, estimated."),
    _column("late_average_gain", pa.float64(), "Test accuracy of the mean of late checkpoints, less its own."),
    _column("mode_connectivity", pa.float64(), "Of the cell, per cent of training error; below 0: a barrier."),
    _column("cka", pa.float64(), "Of the cell: likeness of probabilities on mixed training images, in [0, 1]."),
    _column("cka_logits", pa.float64(), "The same of logits."),
    _column("l2_distance", pa.float64(), "Of the cell: distance of the models' parameters."),
    _column("matched_average_gain", pa.float64(), "Of the cell: test accuracy of its matched mean, less theirs."),
    _column("ensemble_gain", pa.float64(), "Of the cell: test accuracy of its ensemble, less that of its models."),
    _column("phase", pa.string(), "Of the cell: `I`, `II`, `III`, `IV-A` or `IV-B`."),
]
LANDSCAPE = pa.schema([CHECKPOINTS.field("model_id"), CHECKPOINTS.field("epoch"), *MEASURED])
"""One row per checkpoint whose surroundings were measured."""

OF_A_LANDSCAPE = tuple(field.name for field in MEASURED)

OF_THE_ZOO = {"model_id", "part", "row"}  # columns of a zoo's checkpoints that are not of the checkpoint itself
JOINED = [*MODELS, *(field for field in CHECKPOINTS if field.name not in OF_THE_ZOO)]
"""Columns of a checkpoint and its model, wherever its weights lie."""

ADDED = ("data_part", "subset_fraction", "subset_seed", "parent", "parent_epoch", "loss", "momentum")
"""Columns that the first zoos did not have; where they are all null, they are not written, and not part of ids."""

TABLES = {"models": MODELS, "checkpoints": CHECKPOINTS}
SKILL = re.compile(r"skill_(loss_)?[1-9]\d*")
"""Columns of checkpoints of a dataset with known skills: the strength of each skill, and its loss."""
METRICS = [name for name in CHECKPOINTS.names if name.endswith(("_loss", "_accuracy"))]


def with_skills(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    """The schema, and behind its own columns those of `names` that are of skills."""
    fields = [pa.field(name, pa.float64()) for name in names if SKILL.fullmatch(name)]
    return pa.schema([*schema, *fields])


def skills_among(names: Iterable[object]) -> list[str]:
    """Those of the columns that are strengths of skills."""
    return [name for name in map(str, names) if (found := SKILL.fullmatch(name)) and not found[1]]


def population_names(rows: Iterable[pd.Series]) -> list[str]:
    """Names of populations, given one row of each: valid for files, and different even if case is ignored.

    Made of dataset, architecture with its width unless 1, channels and image size; with a number if that is taken.
    """
    names: dict[str, str] = {}
    for row in rows:
        width = "" if row["width"] == 1 else f"-w{row['width']:g}"
        name = f"{row['dataset']}-{row['architecture']}{width}-{row['channels']}x{row['image_size']}"
        name = re.sub(r"[^A-Za-z0-9._+-]", ".", name).lstrip(".+-")[:NAME]  # a user's import path has a colon
        name = file_name(name.rstrip("."))
        candidates = chain([name], (f"{name}-{number}" for number in count(2)))
        free = next(each for each in candidates if each.lower() not in names)
        names[free.lower()] = free
    return list(names.values())


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the schema's columns first, in its order and types; other columns stay behind them.

    Columns that may be null may be missing. Raises `ValueError` in one sentence for one that may not, for one of
    another type, for a null that is not allowed, and for values that their type does not allow.
    """
    try:
        table.validate(full=True)  # a reader of Parquet does not look whether strings are UTF-8
    except pa.ArrowException as error:
        raise ValueError(f"it holds what is no value of its column's type ({error})") from None
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            if not field.nullable:
                raise ValueError(f"the column '{field.name}' is missing")
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table[field.name]
        if column.type != field.type and not pa.types.is_null(column.type):
            raise ValueError(f"the column '{field.name}' is of type {column.type}, and must be {field.type}")
        if column.null_count and not field.nullable:
            raise ValueError(f"the column '{field.name}' holds a null, and may not")
        columns.append(column.cast(field.type))
    others = [name for name in table.column_names if name not in schema.names]
    fields = [*schema, *(table.schema.field(name) for name in others)]
    return pa.table([*columns, *(table[name] for name in others)], schema=pa.schema(fields))


def arrow_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A data frame in Arrow: the schema's columns in its types, with nulls for missing integers, and without unused
    columns of `ADDED`."""
    known = [field for field in schema if field.name in frame.columns]
    others = [name for name in frame.columns if name not in schema.names]
    table = pa.Table.from_pandas(frame[[field.name for field in known]], pa.schema(known), preserve_index=False)
    for name in others:
        table = table.append_column(name, pa.array(frame[name], from_pandas=True))
    return without_unused(table).replace_schema_metadata()


def without_unused(table: pa.Table) -> pa.Table:
    """The table without those columns of `ADDED` and `MEASURED` that hold nothing but nulls."""
    names = [name for name in (*ADDED, *OF_A_LANDSCAPE) if name in table.column_names]
    return table.drop_columns([name for name in names if table[name].null_count == len(table)])


def with_added(table: pa.Table) -> pa.Table:
    """The reverse: the table with those columns of `ADDED` that it lacks, null, each where `MODELS` has it."""
    for name in ADDED:
        if name not in table.column_names:
            before = set(MODELS.names[: MODELS.get_field_index(name)])
            place = max((number for number, each in enumerate(table.column_names, 1) if each in before), default=0)
            table = table.add_column(place, name, pa.nulls(len(table), MODELS.field(name).type))
    return table


def entries_of(layout: Layout) -> list[list[Any]]:
    """A layout for JSON: a list of [name, shape], because order matters and JSON objects have none."""
    return [[entry.name, list(entry.shape)] for entry in layout]


def layout_of(entries: object) -> Layout:
    """The layout of such a list. Raises `ValueError` if it is not such a list."""
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise ValueError("its layout is not a list of [name, shape]")
    if len({name for name, _ in entries}) != len(entries):
        raise ValueError("its layout names an entry twice")
    return Layout.of_shapes({name: tuple(shape) for name, shape in entries})


def _is_entry(entry: object) -> bool:
    match entry:
        case [str(), [*shape]]:
            return all(type(size) is int and size >= 0 for size in shape)
    return False
