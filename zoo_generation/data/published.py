"""Published datasets: what the readers must know of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_generation.data.entry import DatasetEntry, Vision

DIGITS = tuple("0123456789")

BY_FLAG: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
BY_NAME: Mapping[str, Mapping[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
UNSPLIT: Mapping[str, Mapping[str, Any]] = {"train": {}}


def _in(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _mnist_like(name: str) -> Vision:
    parts = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return Vision(name, BY_FLAG, _in(f"{name}/raw", *parts))


CIFAR10_FILES = _in(
    "cifar-10-batches-py", *(f"data_batch_{part}" for part in range(1, 6)), "test_batch", "batches.meta"
)
CIFAR100_FILES = _in("cifar-100-python", "train", "test", "meta")
STL10_FILES = _in("stl10_binary", "train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")

MNIST = DatasetEntry(
    *(1, 28, DIGITS),
    vision=_mnist_like("MNIST"),
    summary="handwritten digits, 70,000 grey images of 28×28",
    paper="LeCun et al., Gradient-Based Learning, 1998",
)
FASHION_MNIST = DatasetEntry(
    *(1, 28),
    folders=("fashion-mnist",),
    vision=_mnist_like("FashionMNIST"),
    summary="articles of clothing, 70,000 grey images of 28×28",
    paper="Xiao et al., arXiv 1708.07747",
)
KMNIST = DatasetEntry(
    *(1, 28),
    vision=_mnist_like("KMNIST"),
    summary="cursive Japanese characters, 70,000 grey images of 28×28",
    paper="Clanuwat et al., arXiv 1812.01718",
)
USPS = DatasetEntry(
    *(1, 16, DIGITS),
    vision=Vision("USPS", BY_FLAG, ("usps.bz2", "usps.t.bz2")),
    summary="digits on envelopes, 9,298 grey images of 16×16",
    paper="Hull, A Database for Handwritten Text Recognition, 1994",
)
SVHN = DatasetEntry(
    *(3, 32, DIGITS),
    vision=Vision("SVHN", BY_NAME, ("train_32x32.mat", "test_32x32.mat")),
    summary="house numbers, 99,289 images of 32×32",
    paper="Netzer et al., Reading Digits in Natural Images, 2011",
)
CIFAR10 = DatasetEntry(
    *(3, 32),
    vision=Vision("CIFAR10", BY_FLAG, CIFAR10_FILES),
    summary="animals and vehicles, 60,000 images of 32×32",
    paper="Krizhevsky, Learning Multiple Layers of Features, 2009",
)
CIFAR100 = DatasetEntry(
    *(3, 32),
    unnamed_classes=100,
    vision=Vision("CIFAR100", BY_FLAG, CIFAR100_FILES),
    summary="a hundred classes of things, 60,000 images of 32×32",
    paper="Krizhevsky, Learning Multiple Layers of Features, 2009",
)
STL10 = DatasetEntry(
    *(3, 96),
    vision=Vision("STL10", BY_NAME, STL10_FILES),
    summary="animals and vehicles, 13,000 labelled images of 96×96",
    paper="Coates et al., An Analysis of Single-Layer Networks, 2011",
)
EUROSAT = DatasetEntry(
    *(3, 64),
    vision=Vision("EuroSAT", UNSPLIT, ("eurosat/2750",)),
    summary="land use seen from a satellite, 27,000 images of 64×64",
    paper="Helber et al., arXiv 1709.00029",
)
TINY_IMAGENET = DatasetEntry(
    *(3, 64),
    unnamed_classes=200,
    folders=("tiny-imagenet-200", "tiny-imagenet"),
    summary="two hundred classes of ImageNet, 110,000 labelled images of 64×64",
    paper="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
)
