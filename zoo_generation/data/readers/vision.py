"""Read and download datasets through torchvision."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from zoo_generation.data.entry import DatasetEntry, Vision
from zoo_generation.data.readers.decode import path_rows
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import InputError

ARCHIVES = (".gz", ".zip")  # what torchvision unpacks and then needs no more
TIMEOUT = 30.0  # seconds without an answer; torchvision itself would wait for ever


def has_vision_files(vision: Vision, root: Path) -> bool:
    """Whether torchvision's own layout of the dataset lies under `root`."""
    return all((root / file).exists() for file in vision.files)


def read_vision(vision: Vision, root: Path, entry: DatasetEntry) -> ImageSource:
    """A source with the splits that torchvision knows."""
    try:
        splits = {split: _open(vision, split, root) for split in vision.splits}
        rows = {split: _rows(dataset, entry) for split, dataset in splits.items()}
    except Exception as error:  # damaged files make its parsers fail in many ways
        raise InputError(
            f"torchvision cannot read {vision.name} in {root} ({_line(error)}); delete its files to get them anew"
        ) from None
    classes = entry.classes or tuple(splits["train"].classes)
    return ImageSource(f"{vision.name} in {root}", classes, **rows)


def download_vision(vision: Vision, root: Path) -> None:
    """Download a dataset into `root`, or raise what torchvision raises and leave nothing behind.

    The files arrive in a folder aside: torchvision takes some that were cut short for whole ones.
    """
    root.mkdir(parents=True, exist_ok=True)
    waits = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with TemporaryDirectory(dir=root, prefix=".download-") as aside:
            for split in vision.splits:
                _open(vision, split, Path(aside), download=True)
            for path in list(Path(aside).rglob("*")):
                if path.suffix in ARCHIVES:
                    path.unlink()
            for path in Path(aside).iterdir():
                _move(path, root / path.name)
    finally:
        socket.setdefaulttimeout(waits)


def _move(path: Path, target: Path) -> None:
    """Rename, whole folders at once if the target is new, so that no part of a dataset passes for all of it."""
    if path.is_dir() and target.is_dir():
        for child in path.iterdir():
            _move(child, target / child.name)
    else:
        path.replace(target)


def _open(vision: Vision, split: str, root: Path, download: bool = False) -> Any:
    from torchvision import datasets

    return getattr(datasets, vision.name)(root, download=download, **vision.splits[split])


def _rows(dataset: Any, entry: DatasetEntry) -> ImageRows:
    if hasattr(dataset, "samples"):
        return path_rows([(Path(path), label) for path, label in dataset.samples], entry.channels, entry.size)
    images = torch.from_numpy(np.asarray(dataset.data))
    labels = torch.from_numpy(np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels))
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == entry.channels:
        images = images.permute(0, 3, 1, 2)
    if len(images) != len(labels) or images.shape[1:] != (entry.channels, entry.size, entry.size):
        raise ValueError(f"{len(labels)} labels for images of shape {tuple(images.shape)}")
    return ImageRows.of(images, labels)


def _line(error: Exception) -> str:
    return str(error).split("\n")[0].rstrip(".") or type(error).__name__
