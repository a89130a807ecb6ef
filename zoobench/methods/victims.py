"""Models that answer to images and cannot be seen, with queries that are counted."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoobench.populations import Population
from zoobench.populations.logits import logits_of
from zoobench.populations.target import Target

Told = Literal["labels", "probabilities", "logits"]
"""What a model tells of an image: the likeliest class, as 1 among 0; the probability of each class; or its logits."""


class Victims:
    """Models of one population that are asked together: an image counts as one query of each.

    target: what their architecture is, without weights; told: what they answer; left: queries that may still be made.
    """

    def __init__(self, models: Population, told: Told, queries: int) -> None:
        self.target, self.told, self.left = Target.unseen(models), told, queries
        self._models = models

    def __len__(self) -> int:
        return len(self._models)

    @property
    def images(self) -> Tensor:
        """Images that are at hand to ask about [images, channels, size, size]: the training images, without labels."""
        return self._models.evidence.images("train")

    def ask(self, images: Tensor) -> Tensor:
        """Answers [victims, images, classes] float32. Raises `InputError` for more images than queries are left."""
        if len(images) > self.left:
            raise InputError(
                f"a method asked about {len(images)} images with {self.left} queries left; ask about fewer"
            )
        self.left -= len(images)
        return answers_of(self._models, self.told, images)


def answers_of(models: Population, told: Told, images: Tensor) -> Tensor:
    """What models tell of images [models, images, classes] float32."""
    logits = logits_of(models, images)
    if told == "logits":
        return logits
    return logits.softmax(2) if told == "probabilities" else F.one_hot(logits.argmax(2), logits.shape[2]).float()


def fresh(victims: Victims, seed: int) -> Population:
    """As many freshly initialized models of their architecture."""
    return victims.target.population(victims.target.new_models(len(victims), seed), torch.zeros(len(victims)))


def drawn(victims: Victims, seed: int) -> Tensor:
    """Images to ask about, drawn at random: as many as there are queries left, or all."""
    return some_of(victims.images, victims.left, seed)


def some_of(images: Tensor, count: int, seed: int) -> Tensor:
    """So many of some images, or all, drawn at random; with the same seed, fewer are the first of more."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]]
