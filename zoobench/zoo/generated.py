"""Generated models as rows of a zoo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from zoo_generation.data import Split
from zoo_generation.networks.architectures import Layout
from zoo_generation.training.models import status_of
from zoo_generation.training.sink import Checkpoint, Metrics
from zoobench.zoo.schema import METRICS, MODELS, POPULATION
from zoobench.zoo.sink import Part, Row

KNOWN = [*POPULATION, "train_images", "data_part", "activation"]
"""Columns of a generated model besides its source: those that it is evaluated with."""


def generated_part(
    of: Mapping[str, Any],
    weights: Tensor,
    layout: Layout,
    metrics: Sequence[Metrics],
    sources: Sequence[Row],
    validation: Split,
) -> Part:
    """Generated models [models, D] of one population as a part: one row and one checkpoint at epoch 0 per model.

    of: those of the columns `KNOWN` that are known; metrics and sources: one per model; validation: the images that
    decide `status`. Weights that are not finite cannot be stored: such a model has status `diverged` and no checkpoint.
    """
    models, checkpoints, stored = [], [], []
    for number, (flat, measured, source) in enumerate(zip(weights, metrics, sources, strict=True)):
        text = json.dumps({"generated": source}, sort_keys=True)
        finite = bool(flat.isfinite().all())
        model_id = hashlib.sha256(text.encode() + flat.cpu().numpy().tobytes()).hexdigest()[:16]
        row: Row = dict.fromkeys(MODELS.names) | {name: _value(of.get(name)) for name in KNOWN}
        row |= {"model_id": model_id, "epochs": 0, "source": text}
        row["status"] = status_of([Checkpoint(0, measured, {})], not finite, validation)
        models.append(row)
        if finite:
            checkpoints.append(
                {"model_id": model_id, "epoch": 0, **{name: getattr(measured, name) for name in METRICS}}
            )
            stored.append(number)
    return Part(models, checkpoints, weights[stored].cpu() if stored else None, layout)


def _value(value: Any) -> Any:
    """A value of a data frame for Arrow: NaN becomes None."""
    missing = value is None or value != value
    return None if missing else value.item() if hasattr(value, "item") else value
