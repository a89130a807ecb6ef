"""Which model one from elsewhere is: its content says so, never the names of its files or the columns beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoobench.zoo.schema import METRICS, MODELS, entries_of
from zoobench.zoo.sink import Row

IDS = "content/1"
"""The version of these ids: stands in the card of an imported zoo, and as a key in rows that are exported."""

FUNCTION = ("dataset", "architecture", "activation")  # what weights mean, and on what they were measured
APART = [name for name in MODELS.names if name not in ("model_id", "source", "seconds")]
"""Columns that tell models apart whose content does not."""


def content_id(row: Row, checkpoints: Sequence[Row], weights: Tensor | None, layout: Layout | None) -> str:
    """Sixteen hexadecimal digits: a hash of what a model computes, and of its checkpoints, sorted by epoch.

    Of the row, dataset, architecture and activation count; of each checkpoint its epoch, what was measured, and its
    weights, a row of `weights` [checkpoints, D] in the layout. Of a model without checkpoints the whole row counts.
    """
    columns = FUNCTION if len(checkpoints) else APART
    said = [
        {name: row[name] for name in columns},
        entries_of(layout) if layout else None,
        [{name: checkpoint[name] for name in ("epoch", *METRICS)} for checkpoint in checkpoints],
    ]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    if weights is not None:
        digest.update(weights.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def id_apart(content: str, row: Row) -> str:
    """The id of a model whose content is that of another in its zoo, though its columns, such as its seed, are not."""
    said = [content, {name: row[name] for name in APART}]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
