"""Columns of a token set's tables: a checkpoint's, its model's, and its split."""

from __future__ import annotations

import pyarrow as pa

from zoobench.zoo.schema import CHECKPOINTS, MODELS

SPLITS = ("train", "val", "test")
OF_THE_ZOO = {"model_id", "part", "row"}  # columns of a zoo's checkpoints that are not of the checkpoint itself

TABLE = pa.schema(
    [
        *MODELS,
        *(field for field in CHECKPOINTS if field.name not in OF_THE_ZOO),
        pa.field("split", pa.string(), nullable=False, metadata={"meaning": "`train`, `val` or `test`, by model."}),
    ]
)
"""One row a checkpoint, behind its weights."""
