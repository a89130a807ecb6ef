"""Sparse parities: random bits as images, of which a few decide the class. Source: arXiv 2207.08799."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import InputError

CLASSES = ("even", "odd")
COUNTS = [20_000, 2_000, 5_000]  # images to train, validate and test with
MOST_BITS = 1024
SEED = 220708799  # changing it changes the datasets


def parity(bits: int = 36, of: int = 3) -> DatasetEntry:
    """Sparse parity: grey images of `bits` random bits; the class is the parity of `of` of them.

    `bits` is a square: 36 bits are an image of 6×6. Which bits decide is drawn once for all images of a dataset.
    """
    side = math.isqrt(max(bits, 0))
    if side**2 != bits or not 1 <= of <= bits <= MOST_BITS:
        raise InputError(
            f"there is no dataset 'parity-{bits}-{of}': the first number is a square up to {MOST_BITS}, such as 36, "
            "and the second lies between 1 and the first"
        )
    return DatasetEntry(
        *(1, side, CLASSES),
        read=partial(_read, bits, of),
        summary=f"random images of {bits} bits; the class is the parity of {of} of them",
        paper="Barak et al., Hidden Progress in Deep Learning, arXiv 2207.08799",
    )


def _read(bits: int, of: int) -> ImageSource:
    random = np.random.RandomState([SEED, bits, of])  # NumPy promises that the legacy generator never changes
    deciding = random.permutation(bits)[:of]
    drawn = random.randint(0, 2, (sum(COUNTS), bits))
    labels = torch.from_numpy(drawn[:, deciding].sum(1) % 2)
    side = math.isqrt(bits)
    images = torch.from_numpy((drawn * 255).astype(np.uint8)).view(-1, 1, side, side)
    rows = map(ImageRows.of, torch.split(images, COUNTS), torch.split(labels, COUNTS))
    return ImageSource(f"the parity of {of} of {bits} bits", CLASSES, *rows)
