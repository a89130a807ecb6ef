"""Copies of models from their answers: nothing, the last layer, or all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.capture import capture
from zoo_generation.networks.module import runnable_module
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.teaching import Teaching
from zoobench.methods.unlearned import Unlearned
from zoobench.methods.victims import Victims, drawn, fresh
from zoobench.populations import Population

LEAST = {"labels": 1e-3, "probabilities": 1e-30}
"""Of a probability, so that it has a logarithm."""


class BaseAlone(Unlearned):
    """The base as it is, or a freshly initialized model; asks nothing."""

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        """See `Extractor`."""
        return (fresh(victims, seed) if bases is None else bases).weights


@dataclass(frozen=True)
class Imitation(Unlearned):
    """Trains the base, or a freshly initialized model, on the victims' answers to random images, by Adam.

    steps: at least, whole passes over the images being made; learning_rate, batch_size: of the training.
    """

    steps: int = 400
    learning_rate: float = 0.003
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError(
                f"imitation was given {self.steps} steps, batches of {self.batch_size} and a learning rate of "
                f"{self.learning_rate:g}; take 1 or more of the former, and a learning rate above 0"
            )

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        """See `Extractor`."""
        start, images = fresh(victims, seed) if bases is None else bases, drawn(victims, seed)
        if not len(images):
            return start.weights
        answers = victims.ask(images)
        soft = answers.softmax(2) if victims.told == "logits" else answers
        epochs = math.ceil(self.steps * self.batch_size / len(images))
        teaching = Teaching(epochs, self.learning_rate, 0.0, self.batch_size, "adam")
        return teaching.taught(start, soft, Images(images, torch.zeros(len(images), dtype=torch.int64)), seed)


class LastLayer(Unlearned):
    """Changes the base's last layer the least so that its logits are the victims', by least squares on random images.

    A victim whose other layers are the base's is copied exactly, once there are more images than inputs of the layer,
    if none of these is silent on all of them.
    Logits that are not told are the logarithms of probabilities, up to a constant of each image.
    """

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        """See `Extractor`. Raises `InapplicableError` if the last layer is not linear with a bias."""
        start, images = fresh(victims, seed) if bases is None else bases, drawn(victims, seed)
        if not len(images):
            return start.weights
        answers = victims.ask(images).double()
        wanted = answers if victims.told == "logits" else answers.clamp(min=LEAST[victims.told]).log()
        weights = start.weights.clone()
        for _, table in start.table.groupby("activation", dropna=False):  # weights do not show their activation
            rows = table.index.tolist()
            module = runnable_module(table.iloc[0])
            last = list(next(capture(weights[:1], start.layout, module, images[:1])))[-1]
            layer = module.get_submodule(last)
            if not isinstance(layer, nn.Linear) or layer.bias is None or layer.out_features != answers.shape[2]:
                raise InapplicableError(f"the last layer of {start.name} is not a linear one with a bias, to solve for")
            parts = [each[last] for each in capture(weights[rows], start.layout, module, images, [last])]
            inputs = torch.cat(parts, dim=2).double().mT
            inputs = torch.cat([inputs, torch.ones_like(inputs[..., :1])], dim=2)
            matrix, bias = (start.layout[f"{last}.{part}"] for part in ("weight", "bias"))
            own = weights[rows][:, matrix.span].double().unflatten(1, matrix.shape)
            own = torch.cat([own, weights[rows][:, bias.span, None].double()], dim=2).mT
            change = wanted[rows] - inputs @ own
            if victims.told != "logits":
                change = change - change.mean(2, keepdim=True)
            solved = (own + torch.linalg.pinv(inputs) @ change).float()
            found = weights[rows]
            found[:, matrix.span], found[:, bias.span] = solved[:, :-1].mT.flatten(1), solved[:, -1]
            weights[rows] = found
        return weights
