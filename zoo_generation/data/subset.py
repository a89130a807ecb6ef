"""Random subsets of the training images, so that many models can be trained on different ones."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from zoo_generation.errors import InputError


def subset_rows(images: int, fraction: float, seed: int) -> Tensor:
    """The images of a random subset, int64 [round(fraction · images)], ascending, the same on every machine.

    Raises `InputError` if it would have none of the images, or all of them.

    >>> subset_rows(10, 0.5, seed=0)
    tensor([5, 6, 7, 8, 9])
    """
    size = round(fraction * images)
    if not 0 < size < images:
        raise InputError(
            f"a subset_fraction of {fraction:g} of {images} training images is {size} of them; choose one that leaves "
            "some out and some in"
        )
    digest = hashlib.sha256(f"subset:{seed}".encode()).digest()
    # NumPy promises that the legacy generator never changes.
    order = np.random.RandomState(int.from_bytes(digest[:4], "big")).permutation(images)
    return torch.from_numpy(np.sort(order[:size]).astype(np.int64))


def subset_mask(images: int, fraction: float, seed: int) -> Tensor:
    """Whether each of the images is in the subset: bool [images].

    >>> subset_mask(10, 0.5, seed=0).int()
    tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], dtype=torch.int32)
    """
    mask = torch.zeros(images, dtype=torch.bool)
    mask[subset_rows(images, fraction, seed)] = True
    return mask
