"""Turn a found model into rows and weights in our order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.data.registry import find_dataset
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.architectures.architecture import WILD
from zoo_generation.networks.registry import ACTIVATIONS
from zoobench.zoo.content import content_id
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.found import Fault, FoundCheckpoint, FoundModel, Told
from zoobench.zoo.importers.images import images_of
from zoobench.zoo.importers.recognise import Recognised, recognise
from zoobench.zoo.importers.status import LOSSES, status_of
from zoobench.zoo.sink import Row


@dataclass(frozen=True)
class Read:
    """An imported checkpoint: its weights [D] in the layout's order, the names that differ from ours, whether all
    weights are finite, and what of its file was left out."""

    epoch: int
    metrics: Row
    weights: Tensor
    recognised: Recognised
    names: dict[str, str]
    finite: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """A model to write: its row, its checkpoints' rows, and their weights [D] each in the layout's order.

    content: the id of its content, which is its id unless it was exported under another. told: that it lost that.
    """

    name: str
    row: Row
    checkpoints: list[Row]
    weights: list[Tensor]
    layout: Layout | None
    content: str
    told: list[Told]


def read_checkpoint(model: FoundModel, checkpoint: FoundCheckpoint, architectures: Sequence[str]) -> Read:
    """Read a checkpoint's weights. Raises `RejectedError` if they are damaged or of no known architecture."""
    state = checkpoint.read()
    recognised = recognise(state, model.row, _tried(model.row, architectures))
    pairs = zip(recognised.layout, recognised.order, strict=True)
    weights = recognised.layout.flatten({entry.name: state.tensors[name] for entry, name in pairs})
    left = recognised.left_over(state)
    notes = (*state.notes, left) if left else state.notes
    finite = bool(weights.isfinite().all())
    return Read(checkpoint.epoch, checkpoint.metrics, weights, recognised, recognised.names(state), finite, notes)


def _tried(row: Row, architectures: Sequence[str]) -> Sequence[str]:
    """The architecture whose name says a network's layers, if the row has one; else all."""
    named = row.get("architecture")
    if not isinstance(named, str) or not named.startswith(WILD):
        return architectures
    try:
        return [get_architecture(named).name]
    except InputError as error:
        raise RejectedError(f"its architecture {error}") from None


def build(model: FoundModel, reads: Sequence[Read]) -> Built:
    """The model with its readable checkpoints. Raises `RejectedError` if there are none."""
    kept = [read for read in reads if read.finite]
    if model.checkpoints and not kept:
        raise RejectedError("none of its checkpoints can be read")
    layout = kept[0].recognised.layout if kept else None
    if any(read.recognised.layout != layout for read in kept):
        raise RejectedError("its checkpoints are of several architectures")
    row = _row(model, reads, kept[0]) if kept else dict(model.row)
    verbatim = model.whole or row["status"] == "diverged"
    checkpoints = [{"epoch": read.epoch, **(read.metrics if verbatim else _without_nan(read.metrics))} for read in kept]
    weights = [read.weights for read in kept]
    content = content_id(row, checkpoints, torch.stack(weights) if weights else None, layout)
    told = []
    if model.whole and model.content != content:
        told.append(Told(_other_content(model), f": it was {row['model_id']!r:.60}", model.name, lost=False))
    if not model.whole or told:
        row["model_id"] = content
    told += [] if model.whole else _unknown_to_us(row, model.name)
    rows = [{"model_id": row["model_id"], **checkpoint} for checkpoint in checkpoints]
    return Built(model.name, row, rows, weights, layout, content, told)


def not_finite(model: FoundModel, reads: Sequence[Read]) -> list[Fault]:
    """The checkpoints to leave out because their weights are not finite."""
    return [Fault(model.name, read.epoch, _why_not_finite(read.metrics)) for read in reads if not read.finite]


def _unknown_to_us(row: Row, model: str) -> list[Told]:
    """A note if too little is known of the model to run its network on images."""
    told = []
    if find_dataset(row["dataset"]) is None:
        what = "zoobench has no images of its dataset: what needs these does not work"
        told.append(Told(what, f": {row['dataset']!r:.60}", model, lost=False))
    if row["activation"] not in ACTIVATIONS and ":" not in row["architecture"] and WILD not in row["architecture"]:
        is_none = f"is none of {', '.join(ACTIVATIONS)}" if row["activation"] else "is not given"
        what = f"its activation {is_none}: what runs its network does not work, as recomputing, generating, fine-tuning"
        told.append(Told(what, f": {row['activation']!r:.60}" if row["activation"] else "", model, lost=False))
    return told


def _other_content(model: FoundModel) -> str:
    if model.content is None:
        return "its export does not say to which weights its id belongs, so it came in under an id of its content"
    return "its weights or measurements differ from the exported ones, so it came in under an id of its content"


def _why_not_finite(metrics: Row) -> str:
    losses = [metrics[name] for name in LOSSES if metrics[name] is not None]
    if losses and all(map(math.isfinite, losses)):
        return "its weights are not all finite, though its recorded loss is: the file is damaged"
    return "its weights are not all finite"


def _without_nan(metrics: Row) -> Row:
    """In a model that did not diverge, NaN means not measured."""
    return {name: None if value is not None and value != value else value for name, value in metrics.items()}


def _row(model: FoundModel, reads: Sequence[Read], first: Read) -> Row:
    found, row = first.recognised, dict(model.row)
    row |= {"architecture": found.architecture.name, "width": found.width}
    if model.whole:
        return row | {"channels": found.channels, "classes": found.classes}
    images = images_of(found, row)
    row |= {"channels": images.channels, "classes": images.classes, "image_size": images.size}
    if row["epochs"] is None:
        row["epochs"] = max(checkpoint.epoch for checkpoint in model.checkpoints)
    weights = [(read.epoch, read.finite) for read in reads]
    row["status"] = row["status"] or status_of(model.history, weights, row["dataset"], images.classes)
    source = model.source | ({"names": first.names} if first.names else {})
    row["source"] = json.dumps(source, default=str)
    return row
