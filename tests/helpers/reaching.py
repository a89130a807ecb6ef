"""What can be reached from an object: fields, items, closures, the memory that arrays are views of."""

from __future__ import annotations

import gc
import mmap
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

MEASURED = {"test_loss", "test_accuracy", "epoch", "model_id", "learning_rate", "seed"}
"""Columns that tell of checkpoints."""


def neighbours(thing: Any) -> Iterator[Any]:
    """Everything one step from an object: fields, items, closures, the memory that arrays are views of."""
    if isinstance(thing, types.ModuleType | type | str | bytes | int | float):
        return
    if isinstance(thing, types.FunctionType):
        yield from (thing.__closure__, thing.__defaults__, thing.__kwdefaults__)
        return
    if isinstance(thing, weakref.ref):
        yield thing()
    if isinstance(thing, np.ndarray):
        yield thing.base
    if isinstance(thing, Tensor):
        yield thing.untyped_storage()
    if isinstance(thing, pa.Array | pa.ChunkedArray):
        chunks = thing.chunks if isinstance(thing, pa.ChunkedArray) else [thing]
        yield [buffer for chunk in chunks for buffer in chunk.buffers()]
    yield from gc.get_referents(thing)


def reached(start: Any) -> list[Any]:
    """Everything that can be reached from an object, without parts of the program: modules, types, globals."""
    seen: dict[int, Any] = {}
    stack = [start]
    while stack:
        thing = stack.pop()
        if id(thing) not in seen:
            seen[id(thing)] = thing
            stack += neighbours(thing)
    return list(seen.values())


def contents(thing: Any) -> bytes:
    """The memory that a thing holds."""
    if isinstance(thing, str):
        return thing.encode(errors="replace")
    if isinstance(thing, torch.UntypedStorage):
        return bytes(thing)
    if isinstance(thing, np.ndarray):
        return thing.tobytes()
    if isinstance(thing, pa.Buffer):
        return thing.to_pybytes()
    return bytes(thing) if isinstance(thing, bytes | bytearray | memoryview | mmap.mmap) else b""


def told(start: Any, secrets: pd.DataFrame, weights: Tensor) -> set[str]:
    """What can be reached from an object that should not be.

    secrets: the rows of the table that are hidden; weights: those of other checkpoints than are asked about.
    """
    found, ids = set(), set(secrets["model_id"])
    losses = [np.float64(loss).tobytes() for loss in secrets["test_loss"]]
    others = [row.numpy().tobytes() for row in weights]
    for thing in reached(start):
        if isinstance(thing, pd.DataFrame) and len(MEASURED & set(thing)) and ids & set(thing.get("model_id", ())):
            found.add("a table")
        if isinstance(thing, Path | mmap.mmap):
            found.add("a file")
        memory = contents(thing)
        if any(each.encode() in memory for each in ids):
            found.add("an id")
        if any(loss in memory for loss in losses):
            found.add("a measurement")
        if any(row in memory for row in others):
            found.add("weights")
    return found
