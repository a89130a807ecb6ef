"""Columns of our tables from what configurations and results of any origin say; what cannot be one is null."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pyarrow as pa

from zoo_generation.datasets.registry import DATASETS
from zoo_generation.sink import Status
from zoobench.zoo.published import CONFIG, RESULTS, SCHEDULES
from zoobench.zoo.schema import CHECKPOINTS, METRICS, MODELS
from zoobench.zoo.sink import Row

CHANCE = 1.5
"""A model whose accuracy is at most so many times that of guessing is at chance: how many images it was measured on,
which the rule of models built here asks for, is not known of imported ones."""

OUR_ID = re.compile(r"[0-9a-f]{16}")
REQUIRED = {field.name for field in MODELS if not field.nullable}


def whole_row(content: object) -> Row | None:
    """The row of `MODELS` that an export wrote; none where it is anything else."""
    if not isinstance(content, Mapping) or not REQUIRED <= content.keys() <= set(MODELS.names):
        return None
    row = {field.name: coerced(content.get(field.name), field.type) for field in MODELS}
    if any(row[name] is None for name in REQUIRED) or row["status"] not in get_args(Status) or row["epochs"] < 0:
        return None
    return row if all(0 < row[name] < math.inf for name in ("width", "image_size", "channels", "classes")) else None


def model_columns(config: Mapping[str, Any]) -> Row:
    """The columns of `MODELS` that a configuration tells, in our names or the published ones."""
    row = {}
    for field in MODELS:
        value = coerced(config.get(field.name), field.type)
        if value is None and field.name in CONFIG:
            value = coerced(config.get(CONFIG[field.name]), field.type)
        row[field.name] = value
    row["schedule"] = SCHEDULES.get(row["schedule"], row["schedule"])
    row["dataset"] = dataset_of(config)
    row["source"] = None
    if row["status"] not in get_args(Status):
        row["status"] = None
    if not OUR_ID.fullmatch(row["model_id"] or ""):
        row["model_id"] = None
    return row


def metrics_of(result: Mapping[str, Any]) -> Row:
    """The metrics of a row of results, in our names or the published ones; null beyond a metric's range."""
    metrics = {}
    for name in METRICS:
        value = result.get(name)
        value = coerced(result.get(RESULTS[name]) if value is None else value, CHECKPOINTS.field(name).type)
        beyond = value is not None and (value < 0 if name.endswith("_loss") else not 0 <= value <= 1)
        metrics[name] = None if beyond else value
    return metrics


def status_of(history: Sequence[Row], classes: int) -> Status:
    """`diverged` where a loss on record is not finite, `at_chance` by the last accuracy on record, else `trained`.

    That is the validation accuracy, or where none was measured the test accuracy; see `CHANCE`.
    """
    losses = [metrics[name] for metrics in history for name in METRICS if name.endswith("_loss")]
    if any(loss is not None and not math.isfinite(loss) for loss in losses):
        return "diverged"
    for name in ("val_accuracy", "test_accuracy"):
        if known := [metrics[name] for metrics in history if metrics[name] is not None]:
            return "trained" if known[-1] > CHANCE / classes else "at_chance"
    return "trained"


def new_id(name: str, params: object) -> str:
    """The id of a model from elsewhere: a hash of its name and its parameters."""
    text = json.dumps([name, params], sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def coerced(value: Any, kind: pa.DataType) -> Any:
    """A value as a column of that type holds it; none where it is no such value. CSV files give all as text."""
    if isinstance(value, str):
        value = value.strip().encode("utf-8", "replace").decode()
        return _from_text(value, kind) if value else None
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else None
    if pa.types.is_string(kind) or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _number(value, kind)


def _from_text(value: str, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return value
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}.get(value.lower())
    for number in (int, float):
        try:
            return _number(number(value), kind)
        except ValueError:
            continue
    return None


def _number(value: float, kind: pa.DataType) -> float | None:
    if pa.types.is_floating(kind):
        try:
            return float(value)
        except OverflowError:
            return None
    return int(value) if -(2**63) <= value < 2**63 and value == int(value) else None


def dataset_of(config: Mapping[str, Any]) -> str | None:
    """The dataset that a configuration names, or whose folder it names; none where it names none."""
    given = coerced(config.get("dataset"), pa.string())
    if given is not None:
        return _KNOWN.get(_spelled(given), given)
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
    found = sorted(runs & _KNOWN.keys(), key=len)
    return _KNOWN[found[-1]] if found else None


def _spelled(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_KNOWN = {_spelled(spelling): name for name, entry in DATASETS.items() for spelling in (name, *entry.folders)} | {
    "fmnist": "fashion_mnist"
}
