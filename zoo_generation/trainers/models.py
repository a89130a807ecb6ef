"""What training starts from and ends with, one model at a time or many."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset, Split
from zoo_generation.init import initialise
from zoo_generation.sink import Checkpoint, Status
from zoo_generation.spec import ModelSpec
from zoo_generation.trainers.dropout import seed_dropout
from zoo_generation.trainers.randomness import dropout_generator

CHANCE_DEVIATIONS = 3.0

Report = Callable[[str, int, float], None]  # (model id, epochs done, validation accuracy)
State = Mapping[str, Tensor]
"""Weights by name, as in a state dict."""


def build_model(spec: ModelSpec, dataset: ImageDataset, device: str, start: State | None = None) -> nn.Module:
    """The model of a spec as it is before training, on the device.

    Its weights are those of `start`; without one they depend on `spec.seed` alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = get_architecture(spec.architecture).build(
            channels=dataset.channels,
            classes=len(dataset.classes),
            activation=spec.activation,
            dropout=spec.dropout,
            width=spec.width,
        )
        initialise(model, spec.init)
    if start is not None:
        model.load_state_dict({**model.state_dict(), **start})  # the counters of BatchNorm are not among flat weights
    seed_dropout(model, dropout_generator(spec, device))
    return model.to(device)


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
