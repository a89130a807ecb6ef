"""Trainers: model specs and images in, trained models out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from zoo_generation.datasets import ImageDataset
from zoo_generation.sink import TrainedModel
from zoo_generation.spec import ModelSpec
from zoo_generation.trainers.models import Report, State, build_model
from zoo_generation.trainers.single import train_model
from zoo_generation.trainers.stack import Stack, UnstackableError
from zoo_generation.trainers.stacked import stack_key, train_stack

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
    """Train models of one `stack_key`: in stacks of `size`, or one at a time where they cannot be stacked.

    Each starts from its weights in `start`; without these, from its spec's initialization.
    """
    trained: list[TrainedModel] = []
    for first in range(0, len(specs), size):
        part, starts = specs[first : first + size], start[first : first + size] if start else None
        try:
            trained += train_stack(part, dataset, device, report, starts)
        except UnstackableError:
            alone = zip(part, starts or repeat(None), strict=False)
            trained += [train_model(spec, dataset, device, report, each) for spec, each in alone]
    return trained


def why_alone(spec: ModelSpec, dataset: ImageDataset) -> str | None:
    """Why models of that spec are trained one at a time; none where they are stacked."""
    try:
        Stack([build_model(spec, dataset, "cpu")])
    except UnstackableError as error:
        return str(error)
    return None
