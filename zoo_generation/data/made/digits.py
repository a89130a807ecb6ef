"""The handwritten digits that come with scikit-learn: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

import torch

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.source import ImageRows, ImageSource

DARKEST = 16  # pixels count how many of 4x4 scanned points are ink


def read_digits() -> ImageSource:
    """A source with a single split."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images).reshape(-1, 1, 8, 8)
    rows = ImageRows.of((pixels * 255 / DARKEST).round().to(torch.uint8), torch.from_numpy(labels))
    return ImageSource("scikit-learn's load_digits", tuple("0123456789"), rows)


DIGITS = DatasetEntry(
    *(1, 8, tuple("0123456789")),
    read=read_digits,
    summary="handwritten digits that come with scikit-learn, 1,797 grey images of 8×8",
    paper="Alpaydin and Kaynak, Cascading Classifiers, 1998",
)
