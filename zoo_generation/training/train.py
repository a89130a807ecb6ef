"""Trainers: model specs and images in, trained models out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from zoo_generation.data import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.networks.module import State, first_line
from zoo_generation.networks.stack import UnstackableError
from zoo_generation.training.models import Report
from zoo_generation.training.single import train_model
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.stacked import stack_key, train_stack
from zoo_generation.training.trial import why_alone

__all__ = [
    "Report",
    "State",
    "UnstackableError",
    "stack_key",
    "train_model",
    "train_models",
    "train_stack",
    "why_alone",
]


def train_models(
    specs: Sequence[ModelSpec],
    dataset: ImageDataset,
    size: int,
    device: str = "cpu",
    report: Report | None = None,
    start: Sequence[State] | None = None,
) -> list[TrainedModel]:
    """Train models of one `stack_key`: in stacks of `size`, or one at a time where stacks do not compute what they do.

    Each starts from its weights in `start`; without these, from its spec's initialization. Raises `InputError` where a
    user's network cannot be trained.
    """
    if why_alone(specs[0], dataset, device) is None:
        parts = [slice(first, first + size) for first in range(0, len(specs), size)]
        return [
            model
            for part in parts
            for model in train_stack(specs[part], dataset, device, report, start[part] if start else None)
        ]
    return [
        _train_alone(spec, dataset, device, report, own)
        for spec, own in zip(specs, start or repeat(None), strict=False)
    ]


def _train_alone(
    spec: ModelSpec, dataset: ImageDataset, device: str, report: Report | None, start: State | None
) -> TrainedModel:
    try:
        return train_model(spec, dataset, device, report, start)
    except Exception as error:  # whatever a user's forward pass raises on some batch
        if ":" not in spec.architecture or isinstance(error, InputError):
            raise
        raise InputError(f"the architecture '{spec.architecture}' fails in training: {first_line(error)}") from error
