"""What readers return: rows of images that are decoded on demand, so that only the images of a split are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo_generation.data.images import ImageDataset, Split
from zoo_generation.errors import InputError

SPLIT_SEED = 0
VAL_SHARE, VAL_MOST = 0.1, 5000  # of the training images, if the source has no validation split
ALONE_VAL, ALONE_TEST = 0.15, 0.25  # if the source has a single split


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Labels int64 [rows], and `read`: row numbers int64 [n] to uint8 images [n, channels, size, size]."""

    labels: Tensor
    read: Callable[[Tensor], Tensor]

    def split(self, rows: Tensor) -> Split:
        return Split(self.read(rows), self.labels[rows])

    @classmethod
    def of(cls, images: Tensor, labels: Tensor) -> ImageRows:
        """ImageRows of images uint8 [images, channels, size, size] and labels [images] that are in memory already."""
        return cls(labels.long(), lambda rows: images[rows].contiguous())


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A dataset as its publisher split it; `where` names it in error messages."""

    where: str
    classes: tuple[str, ...]
    train: ImageRows
    val: ImageRows | None = None
    test: ImageRows | None = None


def divide(name: str, source: ImageSource, train_images: int | None) -> ImageDataset:
    """The three splits, the same on every machine; `train_images` caps `train`.

    The cap keeps the first of a fixed order, so that a smaller training set is part of a larger one.
    Without a test split the validation split takes its place (Tiny ImageNet publishes no test labels), and a
    validation split is carved out of the training images.
    """
    test = source.test or source.val
    val = source.val if source.test is not None else None
    order = _permutation(len(source.train.labels))
    if test is None:
        tests, vals = (round(len(order) * share) for share in (ALONE_TEST, ALONE_VAL))
    else:
        tests, vals = 0, 0 if val is not None else min(round(len(order) * VAL_SHARE), VAL_MOST)
    chosen = {
        "test": (test, torch.arange(len(test.labels))) if test else (source.train, order[:tests]),
        "val": (val, torch.arange(len(val.labels))) if val else (source.train, order[tests : tests + vals]),
        "train": (source.train, order[tests + vals :][:train_images]),
    }
    for split, (rows, numbers) in chosen.items():
        labels = rows.labels[numbers]
        if len(labels) == 0:
            raise InputError(f"{source.where} holds too few images for a {split} split of '{name}'")
        least, most = int(labels.min()), int(labels.max())
        if not 0 <= least <= most < len(source.classes):
            raise InputError(
                f"{source.where} has labels from {least} to {most} in the {split} split of '{name}', "
                f"but {len(source.classes)} classes"
            )
    splits = {split: rows.split(numbers) for split, (rows, numbers) in chosen.items()}
    return ImageDataset.of(name, source.classes, **splits)


def _permutation(count: int) -> Tensor:
    # NumPy promises that the legacy generator never changes; neither torch.randperm nor default_rng does.
    return torch.from_numpy(np.random.RandomState(SPLIT_SEED).permutation(count).astype(np.int64))
