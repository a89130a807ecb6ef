"""What training starts from and ends with, one model at a time or many."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset, Split
from zoo_generation.init import initialise
from zoo_generation.sink import Checkpoint, Status
from zoo_generation.spec import ModelSpec
from zoo_generation.trainers.dropout import seed_dropout
from zoo_generation.trainers.randomness import dropout_generator, seeded

CHANCE_DEVIATIONS = 3.0

Report = Callable[[str, int, float], None]  # (model id, epochs done, validation accuracy)
State = Mapping[str, Tensor]
"""Weights by name, as in a state dict."""


@dataclass(frozen=True)
class Network:
    """What decides a network but for its weights: what its architecture's function is given."""

    architecture: str
    channels: int
    classes: int
    activation: str
    dropout: float
    width: float

    @classmethod
    def of(cls, spec: ModelSpec, dataset: ImageDataset) -> Network:
        channels, classes = dataset.channels, len(dataset.classes)
        return cls(spec.architecture, channels, classes, spec.activation, spec.dropout, spec.width)

    def build(self, seed: int, init: str) -> nn.Module:
        """The module, in training mode, with initial weights that depend on the seed alone."""
        with seeded(seed):
            module = get_architecture(self.architecture).build(
                channels=self.channels,
                classes=self.classes,
                activation=self.activation,
                dropout=self.dropout,
                width=self.width,
            )
            initialise(module, init)
        return module


def build_model(spec: ModelSpec, dataset: ImageDataset, device: str, start: State | None = None) -> nn.Module:
    """The model of a spec as it is before training, on the device.

    Its weights are those of `start`; without one they depend on `spec.seed` alone.
    """
    model = Network.of(spec, dataset).build(spec.seed, spec.init)
    if start is not None:
        model.load_state_dict({**model.state_dict(), **start})  # the counters of BatchNorm are not among flat weights
    seed_dropout(model, dropout_generator(spec, device))
    return model.to(device)


def kept(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a zoo keeps of a state dict: its floating-point entries, as float32."""
    return {
        name: value.detach().float()
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }


def load(module: nn.Module, state: State) -> None:
    """Give a module what a zoo keeps of its state dict. It is in training mode then, as the weights are: some networks
    fold weights into others when they leave it."""
    module.train()
    module.load_state_dict(state, strict=False)


def normalised(dataset: ImageDataset, split: Split, device: str) -> tuple[Tensor, Tensor]:
    """Normalised images [images, channels, size, size], and labels, on the device."""
    return dataset.normalise(split.images.to(device)), split.labels.to(device)


def status_of(checkpoints: list[Checkpoint], diverged: bool, val: Split) -> Status:
    """`diverged`, or `at_chance`: the last validation accuracy is not `CHANCE_DEVIATIONS` above the largest class's.

    That is in standard deviations of a binomial distribution over the validation images.
    """
    if diverged:
        return "diverged"
    share = float(val.labels.bincount().max()) / len(val)
    chance = share + CHANCE_DEVIATIONS * math.sqrt(share * (1 - share) / len(val))
    return "trained" if checkpoints[-1].metrics.val_accuracy > chance else "at_chance"
