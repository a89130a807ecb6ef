"""Find children of a zoo that cannot have started from their parents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from zoo_generation.text import shown
from zoobench.zoo.part_validation import PartFindings, Problem
from zoobench.zoo.schema import POPULATION


def check_families(findings: Sequence[PartFindings]) -> tuple[list[Problem], list[str]]:
    """Problems of children, over all parts that can be read, and notes: a parent may be in another zoo."""
    models: dict[Any, dict[Any, Any]] = {}
    saved: set[tuple[str, int]] = set()
    for part in findings:
        if part.models is None or part.checkpoints is None:
            return [], []  # a parent may be in the part that cannot be read
        for row in part.models[["model_id", "parent", "parent_epoch", *POPULATION]].to_dict("records"):
            models.setdefault(row["model_id"], row | {"file": f"models/{part.part}.parquet"})
        saved |= set(zip(part.checkpoints["model_id"], part.checkpoints["epoch"], strict=True))
    begun = {model for model, _ in saved}
    problems, elsewhere = [], 0
    for name, row in models.items():
        parent, epoch = row["parent"], row["parent_epoch"]
        if pd.isna(parent) and pd.isna(epoch):
            continue
        if pd.isna(parent) or pd.isna(epoch):
            what = "has one of 'parent' and 'parent_epoch', and must have both or neither"
        elif parent not in models:
            elsewhere += 1
            continue
        elif any(row[column] != models[parent][column] for column in POPULATION):
            what = f"is of another population than its parent '{shown(parent)}'"
        elif name in begun and (parent, epoch) not in saved:
            what = f"started from '{shown(parent)}' after epoch {epoch:g}, of which there is no checkpoint"
        else:
            continue
        problems.append(Problem("values", row["file"], f"the model '{shown(name)}' {what}"))
    return problems, [f"{elsewhere} models have a parent that is not in this zoo"] if elsewhere else []
