"""Ids of imported models: hashes of their content, whatever their files and columns are named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoobench.zoo.schema import ADDED, METRICS, MODELS, entries_of
from zoobench.zoo.sink import Row

IDS = "content/1"
"""The version of these ids: in the card of an imported zoo, and a key of exported rows."""

FUNCTION = ("dataset", "architecture", "activation")  # what weights compute, and on which images
APART = [name for name in MODELS.names if name not in ("model_id", "source", "seconds")]
"""Columns that tell models of equal content apart."""


def content_id(row: Row, checkpoints: Sequence[Row], weights: Tensor | None, layout: Layout | None) -> str:
    """Sixteen hexadecimal digits: a hash of the function of a model, and of its checkpoints, sorted by epoch.

    These count: dataset, architecture and activation of the row; epoch, metrics and weights of each checkpoint, one row
    of `weights` [checkpoints, D] in the layout. The whole row counts for a model without checkpoints.
    """
    columns = FUNCTION if len(checkpoints) else APART
    said = [
        _said(row, columns),
        entries_of(layout) if layout else None,
        [{name: checkpoint[name] for name in ("epoch", *METRICS)} for checkpoint in checkpoints],
    ]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    if weights is not None:
        digest.update(weights.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def id_apart(content: str, row: Row) -> str:
    """The id of a model that has the content of another in its zoo, but other columns, such as its seed."""
    said = [content, _said(row, APART)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _said(row: Row, columns: Sequence[str]) -> Row:
    """These columns of a row; not those of `ADDED` that it lacks, so that ids are what they were before these."""
    return {name: row[name] for name in columns if name not in ADDED or row.get(name) is not None}
