"""Columns of a token set's tables: of the checkpoint, of its model, and its split."""

from __future__ import annotations

import pyarrow as pa

from zoobench.zoo.schema import JOINED, MEASURED

SPLITS = ("train", "val", "test")

TABLE = pa.schema(
    [
        *JOINED,
        *MEASURED,
        pa.field("split", pa.string(), nullable=False, metadata={"meaning": "`train`, `val` or `test`, by model."}),
    ]
)
"""One row per checkpoint, behind its weights."""
