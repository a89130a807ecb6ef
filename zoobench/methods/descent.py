"""Gradient descent on any parameters of many models at once, where `train_models` cannot be asked: the parameters need
not be weights, nor the loss a cross-entropy of what the networks answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_generation.errors import InputError

Parameters = Mapping[str, Tensor]
"""By name, [models, ...]: the same number of models in each."""

Losses = Callable[[Parameters, Tensor], Tensor]
"""The loss [models] of each model on the images of these numbers [batch] int64."""


@dataclass(frozen=True)
class Descent:
    """How parameters are trained. steps: in all, each on one batch; batch_size: images; optimizer: `adam`, or `sgd`
    with momentum 0.9; weight_decay: added to the gradient, times the parameter."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    optimizer: Literal["adam", "sgd"] = "adam"

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1 or not self.learning_rate > 0 or self.weight_decay < 0:
            raise InputError(
                f"a descent was given {self.steps} steps, batches of {self.batch_size}, a learning rate of "
                f"{self.learning_rate:g} and a weight decay of {self.weight_decay:g}; take 0 or more steps, batches of "
                "1 or more, a learning rate above 0, and a weight decay of 0 or more"
            )


def descend(start: Parameters, losses: Losses, images: int, how: Descent, seed: int) -> dict[str, Tensor]:
    """The parameters after training, by name [models, ...]; `start` is left as it is.

    All models see the same images in the same order, which depends on the seed alone; none depends on the others,
    because optimizers work element by element. Those of a model that diverges are not finite.
    """
    parameters = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    every = list(parameters.values())
    optimizer: torch.optim.Optimizer
    if how.optimizer == "adam":
        optimizer = torch.optim.Adam(every, how.learning_rate, weight_decay=how.weight_decay)
    else:
        optimizer = torch.optim.SGD(every, how.learning_rate, momentum=0.9, weight_decay=how.weight_decay)
    batches = batches_of(images, how.batch_size, seed)
    for _ in range(how.steps):
        gradients = torch.autograd.grad(losses(parameters, next(batches)).sum(), every, allow_unused=True)
        for parameter, gradient in zip(every, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    return {name: value.detach() for name, value in parameters.items()}


def batches_of(images: int, size: int, seed: int) -> Iterator[Tensor]:
    """Numbers of images [batch] int64 without end: all of them in a random order, then all in another one.

    Raises `InputError` without images.
    """
    if images < 1:
        raise InputError("there are no training images to learn from; take a dataset that has some")
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(images, generator=generator).split(size)


def steps_of(images: int, batch_size: int, epochs: int) -> int:
    """Steps of so many passes over the images."""
    return epochs * math.ceil(images / batch_size)
