"""Metrics of all models of a zoo: which columns hold them, in which units, and which columns hold none.

All values of a column in the zoo decide these together, never one value: 0.9 is nine of ten among shares, but 0.9 %
among percentages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa

from zoobench.zoo.importers.columns import exact, spelled
from zoobench.zoo.importers.found import FoundModel, Told
from zoobench.zoo.importers.landscapes import IN_LANDSCAPES
from zoobench.zoo.importers.values import UntakenError, clean, is_nothing, number
from zoobench.zoo.published import RESULTS
from zoobench.zoo.schema import METRICS
from zoobench.zoo.sink import Row

SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "eval"), "val"
)
KINDS = {"acc": "accuracy", "accuracy": "accuracy", "loss": "loss"}
OTHERS = {"err", "error", "top1", "top5"}
"""Words of metrics that zoobench does not have."""

PER_CENT = {"%", "pct", "percent", "percentage"}
ROUNDING = 1e-6  # by which a share may exceed 1

SHARE, HUNDREDTHS, DOUBTFUL = "share", "per cent", "doubtful"
"""Units of a column of accuracies; the last means that it may be either."""


@dataclass(frozen=True)
class Key:
    """The metric that a key of results names, and whether the key says per cent."""

    metric: str
    per_cent: bool


@dataclass
class MeasuredColumn:
    """The values of a key in the whole zoo.

    positive, above: how many numbers are above 0, and above 1 but at most 100. signs: how many have a per cent sign.
    finite: how many are finite. example: the greatest up to 100 without a sign.
    """

    key: Key
    positive: int = 0
    above: int = 0
    signs: int = 0
    finite: int = 0
    example: float = 0.0
    unit: str = field(default=SHARE)

    def add(self, value: float | None, sign: bool) -> None:
        if value is None:
            return
        self.finite += math.isfinite(value)
        self.signs += sign
        if not sign and 0 < value <= 100:
            self.positive += 1
            self.above += value > 1 + ROUNDING
            self.example = max(self.example, value)


def measured(models: Sequence[FoundModel]) -> tuple[list[FoundModel], list[Told]]:
    """The models with `METRICS` in place of their files' values, and notes on values that were changed or left out.

    NaN in a column that is never finite in the zoo means not measured, and becomes null. Models that zoobench exported
    are taken unchanged.
    """
    columns = _columns(models)
    told = list(_units(columns, models))
    results = []
    for model in models:
        take = exported_metrics if model.whole else partial(_metrics, columns=columns, model=model.name, told=told)
        history = [(epoch, take(row)) for epoch, row in model.history]
        pairs = zip(model.history, history, strict=True)
        of_row = {id(row): metrics for (_, row), (_, metrics) in pairs}
        unmeasured = dict.fromkeys(METRICS)
        checkpoints = [replace(each, metrics=of_row.get(id(each.metrics), unmeasured)) for each in model.checkpoints]
        results.append(replace(model, history=history, checkpoints=checkpoints))
    return results, told


def exported_metrics(result: Mapping[str, Any]) -> Row:
    """The metrics of a row of results that zoobench exported, in its names or the published ones."""
    told = {name: exact(result.get(name, result.get(RESULTS[name])), pa.float64()) for name in METRICS}
    return {name: value if _in_range(name, value) else None for name, value in told.items()}


@lru_cache(maxsize=4096)
def key_of(key: str) -> Key | None:
    """The metric that a key names: `Test Acc (%)` is the test accuracy, in per cent; None if it names none."""
    words = spelled(key).replace("%", "_%").split("_")
    rest = [word for word in words if word and word not in PER_CENT]
    splits, kinds = [word for word in rest if word in SPLITS], [word for word in rest if word in KINDS]
    if len(rest) != 2 or len(splits) != 1 or len(kinds) != 1:
        return None
    return Key(f"{SPLITS[splits[0]]}_{KINDS[kinds[0]]}", len(rest) < len([word for word in words if word]))


def _columns(models: Sequence[FoundModel]) -> dict[str, MeasuredColumn]:
    columns: dict[str, MeasuredColumn] = {}
    for row in _rows(models):
        for name, given in row.items():
            key = key_of(name) if isinstance(name, str) else None
            if key is None:
                continue
            column = columns.setdefault(name, MeasuredColumn(key))
            try:
                column.add(*_number(given))
            except UntakenError:
                continue
    for column in columns.values():
        if column.key.metric.endswith("_accuracy"):
            column.unit = _unit(column)
    plain = [each for each in columns.values() if each.key.metric.endswith("_accuracy") and not each.key.per_cent]
    if any(column.above for column in plain):
        for column in plain:  # of a zoo that writes per cent, 0.9 may be either
            column.unit = DOUBTFUL if column.unit == SHARE and column.positive else column.unit
    return columns


def _unit(column: MeasuredColumn) -> str:
    if column.key.per_cent:
        return HUNDREDTHS if column.above or not column.positive else DOUBTFUL
    if column.signs:
        return DOUBTFUL if column.positive else HUNDREDTHS
    if not column.above:
        return SHARE
    return HUNDREDTHS if 2 * column.above >= column.positive else DOUBTFUL


def _units(columns: Mapping[str, MeasuredColumn], models: Sequence[FoundModel]) -> Iterator[Told]:
    """Notes on whole columns, each with the first model that has it."""
    for name, column in columns.items():
        if column.unit == SHARE:
            continue
        first = next(model.name for model in models if any(name in row for row in _rows([model])))
        if column.unit == HUNDREDTHS:
            yield Told(f"its {name!r:.60} is in per cent: it came in as a share", "", first, lost=False)
        elif column.positive:
            metric = column.key.metric
            remedy = f"name it {metric} if they are shares" if column.key.per_cent else f"or name it {metric}_pct"
            example = f"such as {column.example:g}; write shares, or a per cent sign, {remedy}"
            yield Told(f"its {name!r:.60} may be in per cent or a share, and did not come in: ", example, first)
    unknown: dict[str, tuple[str, Any]] = {}
    for model in models:
        for row in _rows([model]):
            for name, given in row.items():
                if isinstance(name, str) and name not in unknown and _is_like_a_metric(name) and _is_measured(given):
                    unknown[name] = model.name, given
    for name, (model_name, given) in unknown.items():
        what = f"its {name!r:.60} is not a known metric: name it train_, val_ or test_"
        yield Told(what, f": {given!r:.60}", model_name)


@lru_cache(maxsize=4096)
def _is_like_a_metric(key: str) -> bool:
    words = set(spelled(key).replace("%", "_").split("_"))
    return key not in IN_LANDSCAPES and bool(words & (KINDS.keys() | OTHERS)) and key_of(key) is None


def _is_measured(given: Any) -> bool:
    try:
        return not is_nothing(given) and _number(given)[0] is not None
    except UntakenError:
        return False


def _rows(models: Iterable[FoundModel]) -> Iterator[Row]:
    """Each row of results, of models that zoobench did not export."""
    for model in models:
        if not model.whole:
            yield from (row for _, row in model.history)


def _metrics(result: Row, columns: Mapping[str, MeasuredColumn], model: str, told: list[Told]) -> Row:
    """The metrics of a row; if several keys name one, ours comes first, then the published one."""
    metrics: Row = dict.fromkeys(METRICS)
    keys = [name for name in result if isinstance(name, str) and name in columns]
    for name in sorted(keys, key=lambda name: (name not in METRICS, name not in RESULTS.values())):
        column = columns[name]
        metric = column.key.metric
        if metrics[metric] is not None:
            continue
        try:
            metrics[metric] = _taken(result[name], column)
        except UntakenError as error:
            told.append(Told(f"its {name!r:.60} {error}: ", f"{result[name]!r:.60}", model))
    return metrics


def _taken(given: Any, column: MeasuredColumn) -> float | None:
    """A value as a number in our unit; None if it stands for nothing. Raises `UntakenError`."""
    value, sign = _number(given)
    if value is None or (value != value and not column.finite):
        return None
    if column.key.metric.endswith("_loss"):
        if value < 0 or sign:
            raise UntakenError("is in per cent" if sign else "is below 0")
        return value
    if value != value or (column.unit == DOUBTFUL and not sign):
        return None
    if (sign or column.unit == HUNDREDTHS) and math.isfinite(value):
        value = float(Decimal(repr(value)) / 100)
    if 1 < value <= 1 + ROUNDING:
        return 1.0
    if not _in_range(column.key.metric, value):
        raise UntakenError("is not between 0 and 1" if column.unit == SHARE else "is not between 0 and 100 %")
    return value


def _in_range(metric: str, value: float | None) -> bool:
    return value is None or (not value < 0 if metric.endswith("_loss") else 0 <= value <= 1)


def _number(given: Any) -> tuple[float | None, bool]:
    """The number in a value, None if it stands for nothing, and whether it has a per cent sign.

    NaN is kept, because a loss may be NaN.
    """
    text = clean(given) if isinstance(given, str) else ""
    if is_nothing(given) and (given is None or (isinstance(given, str) and text.lower() != "nan")):
        return None, False
    return float(number(text.removesuffix("%") if text else given)), text.endswith("%")
