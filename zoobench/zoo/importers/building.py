"""From what was found of a model to its rows and weights in our order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo_generation.architectures import Layout
from zoobench.zoo.importers.columns import new_id, status_of
from zoobench.zoo.importers.found import FoundCheckpoint, FoundModel
from zoobench.zoo.importers.recognise import Recognised, recognise
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.schema import METRICS
from zoobench.zoo.sink import Row


@dataclass(frozen=True)
class Read:
    """A checkpoint as it came: its weights [D] in the layout's order, the names that differ from ours, and what of its
    file did not come in."""

    epoch: int
    metrics: Row
    weights: Tensor
    recognised: Recognised
    names: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """A model to be written: its row, its checkpoints' rows, and their weights [D] each in the layout's order."""

    name: str
    row: Row
    checkpoints: list[Row]
    weights: list[Tensor]
    layout: Layout | None


def read_checkpoint(model: FoundModel, checkpoint: FoundCheckpoint, architectures: Sequence[str]) -> Read:
    """Read a checkpoint's weights; raises `RejectedError` where they are damaged or of no known architecture."""
    state = checkpoint.read()
    recognised = recognise(state, model.row, architectures)
    pairs = zip(recognised.layout, recognised.order, strict=True)
    weights = recognised.layout.flatten({entry.name: state.tensors[name] for entry, name in pairs})
    if not bool(weights.isfinite().all()):
        raise RejectedError(_why_not_finite(checkpoint.metrics))
    left = recognised.left_over(state)
    notes = (*state.notes, left) if left else state.notes
    return Read(checkpoint.epoch, checkpoint.metrics, weights, recognised, recognised.names(state), notes)


def _why_not_finite(metrics: Row) -> str:
    losses = [metrics[name] for name in METRICS if name.endswith("_loss") and metrics[name] is not None]
    if losses and all(abs(loss) < float("inf") for loss in losses):
        return "its weights are not all finite, though its recorded loss is: the file is damaged"
    return "its weights are not all finite"


def build(model: FoundModel, reads: Sequence[Read]) -> Built:
    """The model with those of its checkpoints that could be read; raises `RejectedError` where none can be."""
    if not model.checkpoints:
        return Built(model.name, model.row, [], [], None)
    if not reads:
        raise RejectedError("none of its checkpoints can be read")
    first = reads[0]
    if any(read.recognised.layout != first.recognised.layout for read in reads):
        raise RejectedError("its checkpoints are of several architectures")
    row = _row(model, first)
    checkpoints = [{"model_id": row["model_id"], "epoch": read.epoch, **read.metrics} for read in reads]
    return Built(model.name, row, checkpoints, [read.weights for read in reads], first.recognised.layout)


def _row(model: FoundModel, first: Read) -> Row:
    found, row = first.recognised, dict(model.row)
    row |= {"architecture": found.architecture.name, "width": found.width}
    row |= {"channels": found.channels, "classes": found.classes}
    if found.architecture.fixed_image_size or (row["image_size"] or 0) < 1:
        row["image_size"] = found.architecture.image_size
    if model.whole:
        return row
    if row["epochs"] is None or row["epochs"] < 0:
        row["epochs"] = max(checkpoint.epoch for checkpoint in model.checkpoints)
    row["status"] = row["status"] or status_of(model.history, found.classes)
    row["model_id"] = row["model_id"] or new_id(model.name, model.source["params"])
    source = model.source | ({"names": first.names} if first.names else {})
    row["source"] = json.dumps(source, default=str)
    return row
