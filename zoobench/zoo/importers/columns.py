"""Fill columns of our tables from configurations of any origin; values that do not fit become null, with a note."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, get_args

import pyarrow as pa

from zoo_generation.data.registry import DATASETS, get_dataset
from zoo_generation.networks.registry import ACTIVATIONS, INITIALIZATIONS
from zoo_generation.training.fields import Optimizer, Schedule
from zoo_generation.training.sink import Status
from zoobench.zoo.content import IDS
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.found import Told
from zoobench.zoo.importers.values import UntakenError, value_of
from zoobench.zoo.published import CONFIG, SCHEDULES
from zoobench.zoo.schema import ADDED, MODELS
from zoobench.zoo.sink import Row

REQUIRED = {field.name for field in MODELS if not field.nullable}
OF_THE_IMPORT = {"model_id", "source", "dataset", *ADDED}  # columns that are not copied
MOST = 10**9  # of what is needed, such as epochs

Rule = tuple[Callable[[Any], bool], str]
FROM_0: Rule = (lambda value: 0 <= value < math.inf, "is not 0 or more")
ABOVE_0: Rule = (lambda value: 0 < value < math.inf, "is not above 0")
RULES: Mapping[str, Rule] = {
    "status": (lambda value: value in get_args(Status), f"is none of {', '.join(get_args(Status))}"),
    "dropout": (lambda value: 0 <= value < 1, "is not in [0, 1)"),
    **dict.fromkeys(("learning_rate", "weight_decay", "epochs", "seconds"), FROM_0),
    **dict.fromkeys(("train_images", "width", "image_size", "batch_size", "channels", "classes"), ABOVE_0),
}
"""The allowed values of a column."""

NAMES: Mapping[str, Iterable[str]] = {
    "activation": ACTIVATIONS,
    "init": INITIALIZATIONS,
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "status": get_args(Status),
}
"""Other spellings of columns' names."""


def whole_row(content: object) -> tuple[Row, str | None] | None:
    """The row of `MODELS` that an export wrote, and the id of its content then; None for anything else."""
    if not isinstance(content, Mapping) or not REQUIRED <= content.keys() <= {*MODELS.names, IDS}:
        return None
    row = {field.name: exact(content.get(field.name), field.type) for field in MODELS}
    if any(row[name] is None for name in REQUIRED) or row["status"] not in get_args(Status) or row["epochs"] < 0:
        return None
    if not all(0 < row[name] < math.inf for name in ("width", "image_size", "channels", "classes")):
        return None
    recorded = content.get(IDS)
    return row, recorded if isinstance(recorded, str) else None


def model_columns(config: Mapping[str, Any], model: str) -> tuple[Row, list[Told]]:
    """The columns of `MODELS` in a model's configuration, in our names or the published ones, however spelled.

    Values that do not fit are noted. The model's id is not read: its content decides that.
    """
    row: Row = dict.fromkeys(MODELS.names)
    told: list[Told] = []
    for column, given in _by_column(config).items():
        if column not in OF_THE_IMPORT:
            row[column] = _first_taken(given, MODELS.field(column), model, told)
    row["dataset"] = dataset_of(config)
    return row, told


def needed(value: Any, kind: pa.DataType, what: str) -> Any:
    """A number that a model cannot come in without, in the type of a column. Raises `RejectedError`.

    >>> needed("3.0", pa.int64(), "step")
    3
    """
    try:
        found = value_of(value, kind)
        if found is None or not 0 <= found <= MOST:
            raise UntakenError(f"is not a number from 0 to {MOST:,}")
    except UntakenError as error:
        raise RejectedError(f"its {what} {value!r:.60} {error}") from None
    return found


def exact(value: Any, kind: pa.DataType) -> Any:
    """A value as an export wrote it; None if it is of another type."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if pa.types.is_string(kind) else None
    if isinstance(value, bool) or pa.types.is_boolean(kind):
        return value if isinstance(value, bool) and pa.types.is_boolean(kind) else None
    try:
        return value_of(value, kind) if value == value else value if pa.types.is_floating(kind) else None
    except UntakenError:
        return None


def _first_taken(values: list[tuple[str, Any]], field: pa.Field, model: str, told: list[Told]) -> Any:
    """The first value that fits; others before it are noted."""
    for key, given in values:
        try:
            value = value_of(given, field.type)
            value = _named(field.name, value) if isinstance(value, str) else value
            holds, otherwise = RULES.get(field.name, (lambda _: True, ""))
            if value is not None and not holds(value):
                raise UntakenError(otherwise)
        except UntakenError as error:
            told.append(Told(f"its {key!r:.60} {error}: ", f"{given!r:.100}", model))
            continue
        if value is not None:
            return value
    return None


def _named(column: str, value: str) -> str:
    """The column's own name of a value: `nn.ReLU()` is relu."""
    if column == "schedule" and value in SCHEDULES:
        return SCHEDULES[value]
    last = spelled(re.sub(r"\(.*\)$", "", value).rpartition(".")[2])
    for name in NAMES.get(column, ()):
        if last.replace("_", "") == name.replace("_", ""):
            return name
    return value


def _by_column(given: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Keys and values by column: our name first, then the published one, then other spellings."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for key, value in given.items():
        if isinstance(key, str) and (column := column_named(key)):
            found.setdefault(column, []).append((key, value))
    for column, keys in found.items():
        keys.sort(key=lambda each: (each[0] != column, each[0] != CONFIG.get(column)))
    return found


@lru_cache(maxsize=4096)
def column_named(key: str) -> str | None:
    """The column of `MODELS` that a key names, however it is spelled."""
    return _SPELLINGS.get(spelled(key))


@lru_cache(maxsize=4096)
def spelled(key: str) -> str:
    """A key in lower case, its words joined by `_`: ` Test Accuracy (%)` is `test_accuracy_%`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return re.sub(r"[^a-z0-9%]+", "_", parted.lower()).strip("_")


def dataset_of(config: Mapping[str, Any]) -> str | None:
    """The dataset that a configuration names, or whose folder it names; None if it names none."""
    for _, given in _by_column(config).get("dataset", ()):
        try:
            if (name := value_of(given, pa.string())) is not None:
                return _known().get(_letters(name), str(name))
        except UntakenError:
            continue
    for key in ("dataset::name", "dataset::dump", "training::data_path"):
        path = config.get(key)
        for piece in reversed(re.split(r"[/\\]", path)) if isinstance(path, str) else ():
            if found := known_dataset(piece):
                return found
    return None


def known_dataset(text: str) -> str | None:
    """The registered dataset named in a text such as `tune_zoo_f_mnist`: the longest run of its words that is one."""
    words = re.split(r"[^a-z0-9]+", text.lower())
    runs = {"".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
    found = sorted(runs & _known().keys(), key=len)
    return _known()[found[-1]] if found else None


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_SPELLINGS = {spelled(name): name for name in MODELS.names} | {spelled(key): name for name, key in CONFIG.items()}


@lru_cache(maxsize=1)
def _known() -> dict[str, str]:
    """zoobench's own datasets by the letters of their names and folders."""
    spellings = {name: (name, *get_dataset(name).folders) for name in DATASETS.own}
    return {_letters(each): name for name in spellings for each in spellings[name]} | {"fmnist": "fashion_mnist"}
