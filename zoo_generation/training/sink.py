"""The output of trainers, and the `Sink` they write it to: they do not know how zoos are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from zoo_generation.training.spec import ModelSpec

Status = Literal["trained", "at_chance", "diverged"]


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy, or mean squared error if that is the spec's loss, and accuracy in [0, 1] on the three splits
    of the images; NaN for a split without images."""

    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    test_loss: float
    test_accuracy: float


@dataclass(frozen=True)
class Checkpoint:
    """A model's weights after an epoch; epoch 0 is the initialization. skills: see `skills_of`, empty if its dataset
    has none."""

    epoch: int
    metrics: Metrics
    state: dict[str, Tensor]
    skills: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """Mean cross-entropy and accuracy in [0, 1] on the test images after a number of optimizer steps; 0 is before."""

    step: int
    test_loss: float
    test_accuracy: float


@dataclass(frozen=True)
class TrainedModel:
    """A model and its checkpoints; `diverged` if a weight stopped being finite.

    curve: the points that were asked for, as long as its weights were finite; zoos do not keep them.
    """

    spec: ModelSpec
    status: Status
    seconds: float
    channels: int
    classes: int
    checkpoints: tuple[Checkpoint, ...]
    curve: tuple[Point, ...] = ()


class Sink(Protocol):
    """Where trained models go. Must be picklable: workers on other machines write to it."""

    def done(self) -> set[str]:
        """Ids of the models that are already there."""
        ...

    def write(self, models: Sequence[TrainedModel]) -> None:
        """Store these models, all or nothing."""
        ...
