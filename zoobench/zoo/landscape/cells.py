"""Cells of a zoo: models that differ in their seeds alone, with their checkpoints at one epoch."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.zoo.schema import MODELS

OF_A_MODEL = {"model_id", "status", "seed", "order_seed", "seconds", "source"}
"""Columns in which the models of a cell may differ."""

SHARED = [name for name in MODELS.names if name not in OF_A_MODEL]
MEASURED_AT = 0.77
"""The share of training at which models with a falling learning rate are measured: 115 of 150 epochs, before the rate
has fallen so far that all of them reach a loss near 0; Schürholt et al., arXiv 2504.18072."""


def cell_names(checkpoints: pd.DataFrame) -> pd.Series:
    """The name of each row's cell: sixteen hexadecimal digits of the SHA-256 of what its models share, and the epoch.

    Columns that are null count as if they were not there.
    """
    columns = [name for name in (*SHARED, "epoch") if name in checkpoints]
    keys = pd.Series(list(checkpoints[columns].itertuples(index=False, name=None)), index=checkpoints.index)
    named = {key: _name(dict(zip(columns, key, strict=True))) for key in keys.unique()}
    return keys.map(named)


def measured_epoch(checkpoints: pd.DataFrame, epoch: int | None = None) -> int:
    """The epoch at which a zoo's models are measured: the given one; else the last that all have, or with a falling
    learning rate that nearest to 77 % of their training.

    Raises `InputError` if not all models have a checkpoint after it.
    """
    every = checkpoints["model_id"].nunique()
    counts = checkpoints.groupby("epoch")["model_id"].nunique()
    common = [int(each) for each in counts.index[counts == every]]
    if epoch is not None and epoch in set(counts.index):
        return epoch
    if epoch is not None or not common:
        asked = "no epoch" if epoch is None else f"not epoch {epoch}"
        raise InputError(
            f"the zoo's models have {asked} in common; name one of {', '.join(map(str, common or counts.index))}"
        )
    falling = (checkpoints["schedule"] == "onecycle").all()
    wanted = MEASURED_AT * float(checkpoints["epochs"].max()) if falling else float("inf")
    return min(common, key=lambda each: (abs(each - wanted) if falling else -each, each))


def _name(shared: dict[str, Any]) -> str:
    given = {name: _plain(value) for name, value in shared.items() if not pd.isna(value)}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> str | float | bool:
    """A value for JSON, whether or not others of its column are null, which makes floats of integers."""
    return value if isinstance(value, str | bool) else float(value)
