"""What was measured of the loss landscape in the phase zoos as they are published: in rows of their results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from zoobench.zoo.importers.values import UntakenError, value_of
from zoobench.zoo.landscape.cells import cell_names
from zoobench.zoo.landscape.phases import PhaseRule
from zoobench.zoo.landscape.table import write_card, write_cell
from zoobench.zoo.schema import LANDSCAPE, OF_A_LANDSCAPE
from zoobench.zoo.sink import Row
from zoobench.zoo.store import Zoo

LAYOUT = "modelzoos"

TAKEN: dict[str, tuple[str, Callable[[float], float]]] = {
    "log_hessian_top_ev": ("hessian_top_eigenvalue", math.exp),
    "log_hessian_trace": ("hessian_trace", math.exp),
    "log_hessian_trace_train": ("hessian_trace", math.exp),
    "curve_mc_train_error": ("mode_connectivity", float),
    "representation_similarity": ("cka_logits", float),
    "wiseft_acc_test_delta": ("late_average_gain", float),
    "gitrebasin_acc_test_delta": ("matched_average_gain", float),
}
"""Our column for each key, and how its value comes into it. A later key counts before an earlier one of the same
column: where the trace is given of training images, `log_hessian_trace` is that of others. Source: the authors' code of
Schürholt et al., arXiv 2504.18072. Its CKA is of logits, a mean over batches of 128, and larger than ours."""

IN_LANDSCAPES = {
    *TAKEN,
    *("log_hessian_top_ev_val", "curve_mc_test_error", "representation_similarity_pairs"),
    *("wiseft_acc_test", "gitrebasin_acc_test"),
}
"""Keys that belong to a landscape; those that are not taken stay in the column `source`."""


def write_landscape(zoo: Zoo) -> None:
    """Write the landscape of an imported zoo if its models' results, in the column `source`, hold one.

    Cells get the phase that the published rule gives them as far as it can be told without our CKA.
    """
    table = zoo.checkpoints
    found = pd.DataFrame(list(_rows(table)), columns=LANDSCAPE.names)
    if found.empty:
        return
    rows = table.merge(found.drop(columns="cell"), on=["model_id", "epoch"])
    rows["cell"] = cell_names(rows)
    of_cells = rows.groupby("cell")[["train_loss", "mode_connectivity", "cka"]].median()
    of_cells["phase"] = PhaseRule().phases(of_cells)
    rows["phase"] = rows["cell"].map(of_cells["phase"])
    for cell, of_cell in rows.groupby("cell"):
        write_cell(zoo.path, str(cell), of_cell)
    write_card(zoo.path, {"settings": None, "rule": PhaseRule().model_dump(), "imported": sorted(TAKEN)})


def _rows(table: pd.DataFrame) -> Iterator[Row]:
    """The rows of checkpoints of which anything was measured."""
    from zoobench.zoo.importers.modelzoos import by_epoch

    for model, checkpoints in table.groupby("model_id"):
        told = checkpoints["source"].iloc[0]
        source = json.loads(told) if isinstance(told, str) else {}
        results = source.get("results") if source.get("layout") == LAYOUT else None
        if not isinstance(results, list) or not any(TAKEN.keys() & row.keys() for row in results):
            continue
        epochs = by_epoch(results, set(checkpoints["epoch"]))
        for epoch in checkpoints["epoch"]:
            taken = _taken(epochs.get(epoch, {}))
            if any(value is not None for value in taken.values()):
                yield dict.fromkeys(OF_A_LANDSCAPE) | {"model_id": model, "epoch": epoch} | taken


def _taken(row: Row) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for key, (column, convert) in TAKEN.items():
        value = _number(row.get(key))
        if value is not None:
            values[column] = convert(value)
    return values


def _number(given: Any) -> float | None:
    """A finite number that a float64 still holds as an exponent; None for anything else."""
    try:
        value = value_of(given, pa.float64())
    except UntakenError:
        return None
    return float(value) if value is not None and math.isfinite(value) and abs(value) < 500 else None
