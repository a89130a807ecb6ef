"""Columns of a token set's tables: a checkpoint's, its model's, and its split."""

from __future__ import annotations

import pyarrow as pa

from zoobench.zoo.schema import JOINED

SPLITS = ("train", "val", "test")

TABLE = pa.schema(
    [
        *JOINED,
        pa.field("split", pa.string(), nullable=False, metadata={"meaning": "`train`, `val` or `test`, by model."}),
    ]
)
"""One row a checkpoint, behind its weights."""
