"""Find a dataset by its name and load it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from zoo_generation.datasets.cache import cache_folder
from zoo_generation.datasets.folder import is_image_folder, read_image_folder
from zoo_generation.datasets.images import ImageDataset
from zoo_generation.datasets.parquet import find_parquet, read_parquet
from zoo_generation.datasets.registry import DATASETS
from zoo_generation.datasets.source import Source, divide
from zoo_generation.datasets.vision import download_vision, has_vision_files, read_vision
from zoo_generation.errors import InputError, unknown


def dataset_names() -> tuple[str, ...]:
    """Every dataset that `load_dataset` knows."""
    return tuple(DATASETS)


def available_datasets(data_root: Path | None = None) -> tuple[str, ...]:
    """The datasets that can be loaded now without a download."""
    root = data_root or default_data_root()
    return tuple(name for name in DATASETS if _find(name, root))


def default_data_root() -> Path:
    """`$ZOOBENCH_DATA`, or `data` in the cache folder."""
    given = os.environ.get("ZOOBENCH_DATA")
    return Path(given).expanduser() if given else cache_folder() / "data"


def load_dataset(
    name: str, *, data_root: Path | None = None, train_images: int | None = None, download: bool = True
) -> ImageDataset:
    """Load a dataset in its native size, in splits that are the same on every machine.

    Looked for under `data_root` (default: `default_data_root()`) are, in this order, a Parquet export of the
    Hugging Face Hub, torchvision's files and an image folder; then torchvision downloads it, unless
    `download` is off. `train_images` keeps the first so many of a fixed order of the training images, all
    when there are fewer; validation and test images stay the same. Raises `InputError` for a dataset that
    is unknown, not there or damaged.
    """
    if name not in DATASETS:
        raise unknown("dataset", name, DATASETS)
    if train_images is not None and train_images < 1:
        raise InputError(f"train_images must be at least 1, not {train_images}")
    root = data_root or default_data_root()
    if data_root and not root.is_dir() and not DATASETS[name].bundled:
        raise InputError(f"the data root {root} is not a folder; create it, or name the one that holds '{name}'")
    read = _find(name, root)
    failure = ""
    if read is None and download:
        failure = _download(name, root)
        read = _find(name, root)
    if read is None:
        raise _absent(name, root, failure)
    return divide(name, read(), train_images)


def _find(name: str, root: Path) -> Callable[[], Source] | None:
    """How to read a dataset, or None if it is not there."""
    entry = DATASETS[name]
    if entry.bundled:
        return entry.bundled
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


def _download(name: str, root: Path) -> str:
    """Download what torchvision can; returns why not, or nothing."""
    vision = DATASETS[name].vision
    if vision is None:
        return "torchvision has no download of it"
    try:
        download_vision(vision, root)
    except Exception as error:  # networks and archives fail in more ways than torchvision foresees
        lines = [line.strip(" .:") for line in str(error).splitlines() if line.strip()]
        return f"its download failed ({lines[-1] if lines else type(error).__name__})"
    return ""


def _absent(name: str, root: Path, failure: str) -> InputError:
    vision = DATASETS[name].vision
    ways = f"a Hugging Face Parquet export or an image folder (train/<class>/*.png) in {root / name}"
    if vision:
        ways += f", or torchvision's {vision.name} files in {root}"
        ways += "" if failure else ", or allow its download"
    return InputError(
        f"dataset '{name}' is not in {root}{failure and f' and {failure}'}: put {ways}; "
        f"available now are {', '.join(available_datasets(root))}"
    )
