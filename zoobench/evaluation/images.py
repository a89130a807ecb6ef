"""From a row of a zoo to the module and the images that its weights are evaluated with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset
from zoo_generation.jobs import DatasetKey, load_images
from zoo_generation.trainers.models import normalised


@dataclass(frozen=True)
class Images:
    """Normalised images [images, channels, size, size] and labels [images]."""

    images: Tensor
    labels: Tensor

    def first(self, count: int) -> Images:
        return Images(self.images[:count], self.labels[:count])


def images_of(row: pd.Series, split: str, data_root: Path | None = None) -> Images:
    """The images of split `train`, `val` or `test` as the models of that row of a zoo see them."""
    cap = row["train_images"]
    key = (row["dataset"], None if cap is None or pd.isna(cap) else int(cap), int(row["image_size"]))
    dataset = _dataset(key, data_root)
    images, labels = normalised(dataset, getattr(dataset, split), "cpu")
    return Images(images.contiguous(memory_format=torch.channels_last), labels)


def build_module(row: pd.Series) -> nn.Module:
    """The module of a row of a zoo, in evaluation mode, its weights not yet those of any checkpoint."""
    module = get_architecture(row["architecture"]).build(
        channels=int(row["channels"]),
        classes=int(row["classes"]),
        activation=row["activation"],
        dropout=0.0,
        width=float(row["width"]),
    )
    return module.eval()


@lru_cache(maxsize=8)
def _dataset(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    return load_images(key, data_root)
