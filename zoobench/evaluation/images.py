"""From a row of a zoo to the module and the images that its weights are evaluated with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.jobs import DatasetKey, load_images
from zoo_generation.trainers.models import normalised
from zoo_generation.trainers.randomness import EVALUATION_SEED, seeded
from zoo_generation.trainers.stack import first_line
from zoo_generation.trainers.trial import output_of


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
    order = torch.contiguous_format if ":" in row["architecture"] else torch.channels_last  # as `memory_format` says
    return Images(images.contiguous(memory_format=order), labels)


def build_module(row: pd.Series) -> nn.Module:
    """The module of a row of a zoo, in evaluation mode, its weights not yet those of any checkpoint.

    Raises `InputError` where a user's function fails, or the network does not return logits for the row's images.
    """
    name, dropout = row["architecture"], row.get("dropout")
    given = {"channels": int(row["channels"]), "classes": int(row["classes"]), "activation": row["activation"]}
    build = partial(get_architecture(name).build, **given, width=float(row["width"]))
    if ":" not in name:
        return build(dropout=0.0).eval()
    image = torch.zeros(2, given["channels"], int(row["image_size"]), int(row["image_size"]))
    with seeded(EVALUATION_SEED), torch.no_grad():
        try:
            module = build(dropout=0.0 if dropout is None or pd.isna(dropout) else float(dropout)).eval()
        except Exception as error:  # whatever a user's function raises
            raise InputError(f"the architecture '{name}' cannot be built: {first_line(error)}") from None
        output_of(name, module, image, given["classes"])
    return module


@lru_cache(maxsize=8)
def _dataset(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    return load_images(key, data_root)
