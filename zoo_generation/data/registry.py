"""Datasets by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from zoo_generation.data.altered import MARK, parted
from zoo_generation.data.entry import DatasetEntry
from zoo_generation.errors import InputError, unknown
from zoo_generation.registry import Registry

Dataset = DatasetEntry | Callable[..., DatasetEntry]
"""An entry, or a function of numbers that returns one: its numbers follow its name, as in `parity-36-3`."""


def _check(name: str, found: object) -> Dataset:
    for mark, what in (("-", "numbers"), (MARK, "alterations")):
        if mark in name:
            raise InputError(f"has a name with '{mark}', which separates a dataset's {what} from its name; take '_'")
    if isinstance(found, DatasetEntry):
        return found
    if not callable(found):
        raise InputError(
            f"is of type {type(found).__name__}, and must be a zoo_generation.data.DatasetEntry, or a function that "
            "returns one"
        )
    return found


DATASETS: Registry[Dataset] = Registry(
    "dataset",
    "zoobench.datasets",
    {
        "mnist": "zoo_generation.data.published:MNIST",
        "fashion_mnist": "zoo_generation.data.published:FASHION_MNIST",
        "kmnist": "zoo_generation.data.published:KMNIST",
        "usps": "zoo_generation.data.published:USPS",
        "svhn": "zoo_generation.data.published:SVHN",
        "cifar10": "zoo_generation.data.published:CIFAR10",
        "cifar100": "zoo_generation.data.published:CIFAR100",
        "stl10": "zoo_generation.data.published:STL10",
        "eurosat": "zoo_generation.data.published:EUROSAT",
        "tiny_imagenet": "zoo_generation.data.published:TINY_IMAGENET",
        "digits": "zoo_generation.data.made.digits:DIGITS",
        "glyphs": "zoo_generation.data.made.glyphs:GLYPHS",
        "parity": "zoo_generation.data.made.parity:parity",
        "sparse_parity": "zoo_generation.data.made.sparse_parity:sparse_parity",
    },
    _check,
)


def dataset_names() -> tuple[str, ...]:
    """Every name that `load_dataset` knows; a dataset with numbers stands there without, as it is by default."""
    return DATASETS.names()


def get_dataset(name: str) -> DatasetEntry:
    """What is known of a dataset, whether or not its images are here.

    `name+alteration` is a dataset with altered images, see `altered`. Raises `InputError`, with the nearest match, if
    there is none of that name, or its numbers cannot be taken.

    >>> get_dataset("parity-16-2").size
    4
    """
    plain, alterations = parted(name)
    entry = _plain(plain)
    if not alterations:
        return entry
    return replace(entry, summary=", ".join((entry.summary, *alterations)), alterations=alterations)


def _plain(name: str) -> DatasetEntry:
    """What is known of a dataset of no alteration."""
    base, *numbers = name.split("-")
    if base not in DATASETS or (numbers and isinstance(DATASETS.get(base), DatasetEntry)):
        raise unknown("dataset", name, DATASETS)
    found = DATASETS.get(base)
    if isinstance(found, DatasetEntry):
        return found
    try:
        entry = found(*map(int, numbers))
    except InputError:
        raise
    except (TypeError, ValueError):
        names = "-".join(parameter.upper() for parameter in inspect.signature(found).parameters)
        raise InputError(f"there is no dataset '{name}'; name it as {base}-{names}, with whole numbers") from None
    if not isinstance(entry, DatasetEntry):
        raise InputError(f"the dataset '{name}' is of type {type(entry).__name__}, and must be a DatasetEntry")
    return entry


def find_dataset(name: object) -> DatasetEntry | None:
    """As `get_dataset`; None if there is no such dataset, or it cannot be used."""
    if isinstance(name, str):
        with suppress(InputError):
            return get_dataset(name)
    return None
