"""Datasets whose images are those of another one, altered: `mnist+inverted`, `digits+rotated+noisy`.

What was learned of a dataset can so be carried to images on which it is half right, of the same classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import unknown

MARK = "+"
"""Stands before each alteration in a dataset's name."""

NOISE_SEED = 20241027  # changing it changes the datasets
NOISY = 4  # one of so many pixels is noise

Alteration = Callable[[Tensor, Tensor, int], Tensor]
"""Of images uint8 [images, channels, size, size], their row numbers [images], and the number of their split."""


def _inverted(images: Tensor, rows: Tensor, split: int) -> Tensor:
    """Dark pixels bright."""
    return 255 - images


def _rotated(images: Tensor, rows: Tensor, split: int) -> Tensor:
    """By a quarter turn, counter-clockwise."""
    return images.rot90(1, (2, 3)).contiguous()


def _noisy(images: Tensor, rows: Tensor, split: int) -> Tensor:
    """A quarter of the pixels, drawn for each image, of any brightness."""
    drawn = np.empty(images.shape, np.int16)
    for place, row in enumerate(rows.tolist()):
        random = np.random.RandomState([NOISE_SEED, split, row])  # NumPy promises that it never changes
        drawn[place] = random.randint(0, 256 * NOISY, images.shape[1:], np.int16)
    noise = torch.from_numpy(drawn)
    return torch.where(noise < 256, noise.to(torch.uint8), images)


ALTERATIONS: dict[str, Alteration] = {"inverted": _inverted, "rotated": _rotated, "noisy": _noisy}
"""By name; each keeps labels, classes and splits."""


def parted(name: str) -> tuple[str, tuple[str, ...]]:
    """The name of the plain dataset, and the alterations in order. Raises `InputError` for an unknown alteration.

    >>> parted("mnist+inverted+rotated")
    ('mnist', ('inverted', 'rotated'))
    """
    plain, *alterations = name.split(MARK)
    for each in alterations:
        if each not in ALTERATIONS:
            raise unknown("alteration of images", each, ALTERATIONS)
    return plain, tuple(alterations)


def altered(source: ImageSource, alterations: tuple[str, ...]) -> ImageSource:
    """The same source, whose images are altered when they are read, one alteration after the other."""

    def changed(given: ImageRows | None, split: int) -> ImageRows | None:
        return None if given is None else replace(given, read=partial(_read, given, alterations, split))

    train, val, test = (changed(each, split) for split, each in enumerate((source.train, source.val, source.test)))
    assert train is not None
    return replace(source, train=train, val=val, test=test)


def _read(rows: ImageRows, alterations: tuple[str, ...], split: int, numbers: Tensor) -> Tensor:
    """The altered images of these row numbers."""
    images = rows.read(numbers)
    for each in alterations:
        images = ALTERATIONS[each](images, numbers, split)
    return images
