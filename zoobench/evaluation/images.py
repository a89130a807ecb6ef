"""From a row of a zoo to the module and the images that its weights are evaluated with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.architectures import get_architecture
from zoo_generation.architectures.activations import ACTIVATIONS, known_activation
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
    """The images of split `train`, `val` or `test` as the models of that row of a zoo see them.

    Raises `InputError` where the dataset is not there, and where its images or classes are not those of the models.
    """
    cap = row["train_images"]
    key = (row["dataset"], None if cap is None or pd.isna(cap) else int(cap), int(row["image_size"]))
    dataset = _dataset(key, data_root)
    channels, classes = int(row["channels"]), int(row["classes"])
    if dataset.channels != channels or len(dataset.classes) > classes:
        raise InputError(
            f"'{row['architecture']}' cannot be run on images of '{row['dataset']}': its models are for {channels} "
            f"channels and {classes} classes, and these have {dataset.channels} and {len(dataset.classes)}; look at "
            "the zoo's columns 'channels' and 'classes'"
        )
    images, labels = normalised(dataset, getattr(dataset, split), "cpu")
    order = torch.contiguous_format if ":" in row["architecture"] else torch.channels_last  # as `memory_format` says
    return Images(images.contiguous(memory_format=order), labels)


def build_module(row: pd.Series) -> nn.Module:
    """The module of a row of a zoo, in evaluation mode, its weights not yet those of any checkpoint.

    Raises `InputError` where it cannot be built of its columns, first of all where its activation is not known, and
    where a user's network does not return logits for the row's images.
    """
    name, given, dropout = row["architecture"], row["activation"], row.get("dropout")
    given, known = None if pd.isna(given) else given, known_activation(given)
    build = partial(
        get_architecture(name).build,
        channels=int(row["channels"]),
        classes=int(row["classes"]),
        activation=known or cast(str, given),  # a user's function may do without
        width=float(row["width"]),
    )
    try:
        if ":" not in name:
            return build(dropout=0.0).eval()
        with seeded(EVALUATION_SEED):
            module = build(dropout=0.0 if dropout is None or pd.isna(dropout) else float(dropout)).eval()
    except InputError:
        raise
    except Exception as error:  # whatever a user's function raises
        which = f"models of '{name}' on '{row['dataset']}'" if "dataset" in row else f"models of '{name}'"
        if known is None:
            told = "is empty" if given is None else f"says '{given}'"
            raise InputError(
                f"{which} cannot be built, since the column 'activation' of their zoo {told}; the activations that "
                f"are known are {', '.join(ACTIVATIONS)}: import them again with one of these"
            ) from None
        raise InputError(f"{which} cannot be built of their columns: {first_line(error)}") from None
    image = torch.zeros(2, int(row["channels"]), int(row["image_size"]), int(row["image_size"]))
    with seeded(EVALUATION_SEED), torch.no_grad():
        output_of(name, module, image, int(row["classes"]))
    return module


def runnable_module(row: pd.Series) -> nn.Module:
    """As `build_module`; raises `InputError` also where it cannot be run on images of the row's size."""
    module, size = build_module(row), int(row["image_size"])
    try:
        with torch.no_grad():
            module(torch.zeros(1, int(row["channels"]), size, size))
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"'{row['architecture']}' cannot be run on images of {size} × {size} pixels, as the column 'image_size' of "
            f"the zoo has it ({reason})"
        ) from None
    return module


@lru_cache(maxsize=8)
def _dataset(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    return load_images(key, data_root)
