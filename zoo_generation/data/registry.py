"""Which datasets there are, and what the readers must know about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo_generation.data.made.digits import read_digits
from zoo_generation.data.made.glyphs import read_glyphs
from zoo_generation.data.source import Source

DIGITS = tuple("0123456789")

BY_FLAG: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
BY_NAME: Mapping[str, Mapping[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
UNSPLIT: Mapping[str, Mapping[str, Any]] = {"train": {}}


@dataclass(frozen=True)
class Vision:
    """A dataset class of torchvision, its arguments for each split, and the files it reads under its root."""

    name: str
    splits: Mapping[str, Mapping[str, Any]]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """Native channels and size; class names and folder names beyond what the data and the name say."""

    channels: int
    size: int
    classes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    vision: Vision | None = None
    bundled: Callable[[], Source] | None = None


def _in(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _mnist_like(name: str) -> Vision:
    parts = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return Vision(name, BY_FLAG, _in(f"{name}/raw", *parts))


CIFAR10 = _in("cifar-10-batches-py", *(f"data_batch_{part}" for part in range(1, 6)), "test_batch", "batches.meta")
CIFAR100 = _in("cifar-100-python", "train", "test", "meta")
STL10 = _in("stl10_binary", "train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")

DATASETS: Mapping[str, Entry] = {
    "mnist": Entry(1, 28, DIGITS, vision=_mnist_like("MNIST")),
    "fashion_mnist": Entry(1, 28, folders=("fashion-mnist",), vision=_mnist_like("FashionMNIST")),
    "kmnist": Entry(1, 28, vision=_mnist_like("KMNIST")),
    "usps": Entry(1, 16, DIGITS, vision=Vision("USPS", BY_FLAG, ("usps.bz2", "usps.t.bz2"))),
    "svhn": Entry(3, 32, DIGITS, vision=Vision("SVHN", BY_NAME, ("train_32x32.mat", "test_32x32.mat"))),
    "cifar10": Entry(3, 32, vision=Vision("CIFAR10", BY_FLAG, CIFAR10)),
    "cifar100": Entry(3, 32, vision=Vision("CIFAR100", BY_FLAG, CIFAR100)),
    "stl10": Entry(3, 96, vision=Vision("STL10", BY_NAME, STL10)),
    "eurosat": Entry(3, 64, vision=Vision("EuroSAT", UNSPLIT, ("eurosat/2750",))),
    "tiny_imagenet": Entry(3, 64, folders=("tiny-imagenet-200", "tiny-imagenet")),
    "digits": Entry(1, 8, bundled=read_digits),
    "glyphs": Entry(1, 28, bundled=read_glyphs),
}
