"""Images in memory, converted to the size and channels that an architecture needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.part import DataPart
from zoo_generation.errors import InputError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights that Pillow uses for RGB to grey
FLAT_STD = 1 / 255  # one grey level: the least standard deviation, so that a constant channel stays finite
RESIZE_BATCH = 1024  # images turned to float32 at once


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: [images, channels, height, width], uint8, or float32 if they are normalised already; and int64
    [images]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def of_part(self, part: DataPart, classes: int) -> Split:
        """The images of a part. classes: of the dataset."""
        rows = part.rows(self.labels, classes)
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Square images in three disjoint splits; `mean` and `std` per channel of `train` on the [0, 1] scale."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, name: str, classes: tuple[str, ...], train: Split, val: Split, test: Split) -> ImageDataset:
        """A dataset whose statistics are those of `train`."""
        return cls(name, classes, train, val, test, *statistics(train.images))

    @property
    def channels(self) -> int:
        return self.train.images.shape[1]

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return self.train.images.shape[2]

    def fit(self, channels: int, size: int) -> ImageDataset:
        """The same images with 1 (grey) or 3 (RGB) channels and `size` pixels per side; itself if they are so already.

        Resizing is bilinear, antialiased when images shrink.
        """
        if (channels, size) == (self.channels, self.size):
            return self
        if channels not in (1, 3) or size < 1:
            raise InputError(f"images can have 1 or 3 channels and at least 1 pixel, not {channels} and {size}")
        if self.channels not in (1, 3):
            raise InputError(
                f"the inputs of '{self.name}' are {self.channels} numbers and no pictures, so they cannot become "
                f"{channels} × {size} × {size} pixels; leave out channels and image_size, and take mlp_1"
            )
        train, val, test = (
            replace(split, images=_resized(_recoloured(split.images, channels), size))
            for split in (self.train, self.val, self.test)
        )
        return ImageDataset.of(self.name, self.classes, train, val, test)

    def of_part(self, part: str | None) -> ImageDataset:
        """The dataset with the training and validation images of a part alone; itself if that is None.

        part: the text of a `DataPart`. Test images, `mean` and `std` stay those of the whole. Raises `InputError` if
        the part has no images.
        """
        if part is None:
            return self
        own = DataPart.read(part)
        if len(own.classes(len(self.classes))) < 2:
            raise InputError(f"the part {part} of '{self.name}' has fewer than two classes; take fewer parts")
        train, val = (split.of_part(own, len(self.classes)) for split in (self.train, self.val))
        if not len(train) or not len(val):
            raise InputError(
                f"the part {part} of '{self.name}' has {len(train)} training and {len(val)} validation images; take "
                "fewer parts, or more train_images"
            )
        return replace(self, train=train, val=val)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [..., channels, height, width] as float32, standardised by `mean` and `std`. Those that are
        float32 already are returned as they are.
        """
        if images.is_floating_point():
            return images
        mean, std = (
            torch.tensor(values, device=images.device).view(-1, 1, 1) * 255 for values in (self.mean, self.std)
        )
        return (images.float() - mean) / std


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel on the [0, 1] scale, exact whatever the number of images."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = float(share @ levels)
        means.append(mean)
        stds.append(max(float(share @ (levels - mean) ** 2) ** 0.5, FLAT_STD))
    return tuple(means), tuple(stds)


def _recoloured(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    grey = torch.zeros_like(images[:, :1], dtype=torch.float32)
    for channel, weight in enumerate(LUMA):
        grey += weight * images[:, channel : channel + 1]
    return _to_bytes(grey)


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[2] == size:
        return images
    return torch.cat(
        [
            _to_bytes(F.interpolate(batch.float(), (size, size), mode="bilinear", antialias=True))
            for batch in torch.split(images, RESIZE_BATCH)
        ]
    )


def _to_bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def normalised(dataset: ImageDataset, split: Split, device: str) -> tuple[Tensor, Tensor]:
    """Normalised images [images, channels, size, size], and labels, on the device."""
    return dataset.normalise(split.images.to(device)), split.labels.to(device)


@dataclass(frozen=True)
class Images:
    """Normalised images [images, channels, size, size] and labels [images]."""

    images: Tensor
    labels: Tensor

    def first(self, count: int) -> Images:
        return Images(self.images[:count], self.labels[:count])
