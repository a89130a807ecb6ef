"""Merge by a mean of weights in which each weight of each model counts as much as the model's outputs depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.gradients import per_example, positions
from zoobench.methods.merging.members import MatchingMerger, Members
from zoobench.populations import Population

Classes = Literal["expected", "predicted", "true"]
FLOOR = 1e-10  # of the Fisher information: where no model has any, the mean is taken
GRADIENT_ELEMENTS = 2**25  # in memory at once


@dataclass(frozen=True)
class FisherMean(MatchingMerger):
    """θ = Σᵢ Fᵢ θᵢ / Σᵢ Fᵢ, where Fᵢ is the diagonal of model i's Fisher information on its own images.

    It is the mean over images of the squared derivative of log p of a class, image by image. classes: `expected`, the
    mean over classes by their probability; `predicted`, the likeliest class; `true`, the label. images: of each model.
    Source: Matena & Raffel, arXiv 2111.09832, section 3.
    """

    classes: Classes = "expected"
    images: int = 256

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"Fisher information was asked for on {self.images} images; take 1 or more")

    def combine(self, members: Members, seed: int) -> Tensor:
        weights, mean = members.weights.double(), members.mean.double()
        information = fisher(members, self.classes, self.images)
        moved = (information * (weights - mean[:, None])).sum(1) / (information.sum(1) + FLOOR)
        return mean + moved


def fisher(members: Members, classes: Classes, images: int) -> Tensor:
    """The Fisher information's diagonal of each model on its own images: float64 [groups, size, D]."""
    found = torch.zeros(len(members.models), members.layout.size, dtype=torch.float64)
    numbers = members.data.flatten()
    for number in numbers.unique():
        models = numbers == number
        found[models] = _of_own_images(members.models.select(models.numpy()), classes, images)
    return found.unflatten(0, (-1, members.size))


def _of_own_images(models: Population, classes: Classes, count: int) -> Tensor:
    """The diagonals [models, D] of models with the same images."""
    layout, module = models.layout, Members(models, len(models)).module()
    places = positions(layout, module)
    if classes == "true":
        shown = models.evidence.labelled("train").first(count)
    else:
        pixels = models.evidence.images("train")[:count]
        shown = Images(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    found = torch.zeros(len(models), layout.size, dtype=torch.float64)
    for rows in torch.arange(len(models)).split(max(1, GRADIENT_ELEMENTS // (len(shown.labels) * layout.size))):
        weights = models.weights[rows]
        if classes == "true":
            squares = per_example(weights, layout, module, shown).square_().mean(1).double()
        else:
            squares = _over_classes(models, weights, shown.images, classes)
        found[rows[:, None], places] = squares
    return found


def _over_classes(models: Population, weights: Tensor, images: Tensor, classes: Classes) -> Tensor:
    """Squared derivatives [models, P] of log p, over classes by their probability, or by that of the likeliest as 1."""
    layout, module = models.layout, Members(models, len(models)).module()
    answers = logits(weights, layout, module, images).double()
    shares = answers.softmax(2)
    if classes == "predicted":
        shares = F.one_hot(answers.argmax(2), answers.shape[2]).double()
    total = torch.zeros(())
    for label in range(answers.shape[2]):
        share = shares[:, None, :, label].float()
        if share.any():
            labels = torch.full((len(images),), label)
            squares = per_example(weights, layout, module, Images(images, labels)).square_()
            total = total + (share @ squares)[:, 0].double() / len(images)
    return total
