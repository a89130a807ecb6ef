"""Random numbers of training: one generator per purpose, seeded by the spec."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.training.spec import ModelSpec

MARGIN = 4  # largest shift of a crop in pixels, as usual on CIFAR (He et al., arXiv 1512.03385, section 4.2)


def order_generator(spec: ModelSpec) -> torch.Generator:
    """For the order of the images and their augmentation; seeded by `order_seed` if models share one."""
    return torch.Generator().manual_seed(spec.seed if spec.order_seed is None else spec.order_seed)


def dropout_generator(spec: ModelSpec, device: str) -> torch.Generator:
    """For dropout masks, on the device that uses them. Its seed is not that of the order, so that the two differ."""
    return torch.Generator(device).manual_seed(_seed_of("dropout", spec))


def training_seed(spec: ModelSpec) -> int:
    """For `seeded`, while the model is trained: for everything that its forward pass draws from global generators."""
    return _seed_of("training", spec)


def _seed_of(what: str, spec: ModelSpec) -> int:
    digest = hashlib.sha256(f"{what}:{spec.seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True)
class Augmentation:
    """For each image, whether it is flipped, and where its crop begins, as int64 [images]."""

    flip: Tensor
    top: Tensor
    left: Tensor

    @classmethod
    def draw(cls, images: int, generator: torch.Generator) -> Augmentation:
        """A flip with probability one half, a crop up to `MARGIN` pixels off in each direction."""
        flip = (torch.rand(images, generator=generator) < 0.5).long()
        top, left = torch.randint(0, 2 * MARGIN + 1, (2, images), generator=generator)
        return cls(flip, top, left)

    @classmethod
    def join(cls, parts: Sequence[Augmentation]) -> Augmentation:
        """The augmentation of several models, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("flip", "top", "left")))

    def __call__(self, images: Tensor) -> Tensor:
        """Images [images, channels, height, width], padded with zeros, cropped to their size, and flipped."""
        count, channels, height, width = images.shape
        flip, top, left = (each[:, None].to(images.device) for each in (self.flip, self.top, self.left))
        columns = torch.arange(width, device=images.device)
        columns = torch.where(flip > 0, columns.flip(0), columns) + left
        rows = torch.arange(height, device=images.device) + top
        image = torch.arange(count, device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        return F.pad(images, (MARGIN,) * 4)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
