"""Find a dataset by its name and load it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from zoo_generation.data.altered import MARK, altered
from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.images import ImageDataset, Images, normalised
from zoo_generation.data.readers.folder import is_image_folder, read_image_folder
from zoo_generation.data.readers.parquet import find_parquet, read_parquet
from zoo_generation.data.readers.vision import download_vision, has_vision_files, read_vision
from zoo_generation.data.registry import DATASETS, get_dataset
from zoo_generation.data.source import ImageSource, divide
from zoo_generation.errors import InputError
from zoo_generation.files import cache_folder


def available_datasets(data_root: Path | None = None) -> tuple[str, ...]:
    """The datasets of zoobench that can be loaded now without a download."""
    root = data_root or default_data_root()
    return tuple(name for name in DATASETS.own if _find(name, get_dataset(name), root))


def default_data_root() -> Path:
    """`$ZOOBENCH_DATA`, or `data` in the cache folder."""
    given = os.environ.get("ZOOBENCH_DATA")
    return Path(given).expanduser() if given else cache_folder() / "data"


def load_dataset(
    name: str, *, data_root: Path | None = None, train_images: int | None = None, download: bool = True
) -> ImageDataset:
    """Load a dataset in its native size, in splits that are the same on every machine.

    Looks under `data_root` (default: `default_data_root()`), in this order, for a Parquet export of the Hugging Face
    Hub, torchvision's files and an image folder; then torchvision downloads the dataset, unless `download` is off.
    `train_images` keeps the first images of a fixed order of the training images, all if there are fewer; validation
    and test images stay the same. The images of `name+alteration` are those of `name`, altered: see `altered`. Raises
    `InputError` for a dataset that is unknown, missing or damaged.
    """
    entry, plain = get_dataset(name), name.partition(MARK)[0]
    if train_images is not None and train_images < 1:
        raise InputError(f"train_images must be at least 1, not {train_images}")
    root = data_root or default_data_root()
    if data_root and not root.is_dir() and not entry.read:
        raise InputError(f"the data root {root} is not a folder; create it, or name the one that holds '{name}'")
    read = _find(plain, entry, root)
    failure = ""
    if read is None and download:
        failure = _download(entry, root)
        read = _find(plain, entry, root)
    if read is None:
        raise _absent(plain, entry, root, failure)
    dataset = divide(name, altered(read(), entry.alterations), train_images)
    if entry.standardised:
        return dataset
    return replace(dataset, mean=(0.0,) * dataset.channels, std=(1.0,) * dataset.channels)


def _find(name: str, entry: DatasetEntry, root: Path) -> Callable[[], ImageSource] | None:
    """How to read a dataset, or None if it is not there."""
    if entry.read:
        return entry.read
    folders = [root / folder for folder in (name, *entry.folders)]
    for folder in folders:
        if files := find_parquet(folder):
            return partial(read_parquet, files, entry)
    if entry.vision and has_vision_files(entry.vision, root):
        return partial(read_vision, entry.vision, root, entry)
    for folder in folders:
        if is_image_folder(folder):
            return partial(read_image_folder, folder, entry)
    return None


def _download(entry: DatasetEntry, root: Path) -> str:
    """Download what torchvision can; returns why not, or nothing."""
    vision = entry.vision
    if vision is None:
        return "torchvision has no download of it"
    try:
        download_vision(vision, root)
    except Exception as error:  # networks and archives fail in more ways than torchvision foresees
        lines = [line.strip(" .:") for line in str(error).splitlines() if line.strip()]
        return f"its download failed ({lines[-1] if lines else type(error).__name__})"
    return ""


def _absent(name: str, entry: DatasetEntry, root: Path, failure: str) -> InputError:
    vision = entry.vision
    ways = f"a Hugging Face Parquet export or an image folder (train/<class>/*.png) in {root / name}"
    if vision:
        ways += f", or torchvision's {vision.name} files in {root}"
        ways += "" if failure else ", or allow its download"
    return InputError(
        f"dataset '{name}' is not in {root}{failure and f' and {failure}'}: put {ways}; "
        f"available now are {', '.join(available_datasets(root))}"
    )


class DatasetKey(NamedTuple):
    """What decides the images of a model.

    train_images: None for all; channels: None for the dataset's own; part: the text of a `DataPart`, None for all.
    """

    dataset: str
    train_images: int | None
    image_size: int
    channels: int | None
    part: str | None = None

    @property
    def whole(self) -> DatasetKey:
        """The key of all images."""
        return self._replace(part=None)


Datasets = Mapping[DatasetKey, ImageDataset]


def load_images(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    """The images of a key, as its models see them."""
    dataset = load_dataset(key.dataset, data_root=data_root, train_images=key.train_images)
    return dataset.fit(key.channels or dataset.channels, key.image_size).of_part(key.part)


def images_of(row: pd.Series, split: str, data_root: Path | None = None) -> Images:
    """The images of split `train`, `val` or `test` as the models of that row of a zoo see them: of the row's size, grey
    or RGB as its `channels` say; of training and validation images those of its `data_part` alone, if it has one.

    Raises `InputError` if the dataset is missing, or its images or classes are not those of the models, and if the
    models answer with a number instead of a class.
    """
    if _loss(row) is not None:
        raise InputError(
            f"models of '{row['architecture']}' on '{row['dataset']}' answer with a number, not a class, so they "
            "cannot be asked about images; take a task of properties, such as skill_prediction"
        )
    return inputs_of(row, split, data_root)


def inputs_of(row: pd.Series, split: str, data_root: Path | None = None) -> Images:
    """As `images_of`, also for models that answer with a number: their labels are the numbers that stand for the
    classes, float32 [images]."""
    cap = row["train_images"]
    channels, classes = int(row["channels"]), int(row["classes"])
    train_images = None if cap is None or pd.isna(cap) else int(cap)
    converted = channels if channels in (1, 3) else None  # others can be the dataset's own only
    part = row.get("data_part")
    whole = _whole(DatasetKey(row["dataset"], train_images, int(row["image_size"]), converted), data_root)
    dataset = whole.of_part(None if pd.isna(part) else part)
    numbers = _loss(row) is not None
    if dataset.channels != channels or (len(dataset.classes) > classes and not numbers):
        raise InputError(
            f"'{row['architecture']}' cannot be run on images of '{row['dataset']}': its models are for {channels} "
            f"channels and {classes} classes, and these have {dataset.channels} and {len(dataset.classes)}; look at "
            "the zoo's columns 'channels' and 'classes'"
        )
    images, labels = normalised(dataset, getattr(dataset, split), "cpu")
    if numbers:
        labels = torch.tensor(get_dataset(row["dataset"]).targets)[labels]
    order = torch.contiguous_format if ":" in row["architecture"] else torch.channels_last  # as `memory_format` says
    return Images(images.contiguous(memory_format=order), labels)


def _loss(row: pd.Series) -> str | None:
    """What the models of a row were trained to minimise, None for the cross-entropy."""
    loss = row.get("loss")
    return None if pd.isna(loss) else str(loss)


@dataclass(frozen=True)
class ImageStore:
    """Where images are opened, in the form in which the models of a zoo see them.

    data_root: the folder with the datasets, None for `default_data_root()`. Each dataset is read once per process.
    """

    data_root: Path | None = None

    def of(self, row: pd.Series, split: str) -> Images:
        """The images of split `train`, `val` or `test` for the models of that row of a zoo; see `images_of`."""
        return images_of(row, split, self.data_root)


@lru_cache(maxsize=8)
def _whole(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    return load_images(key, data_root)
