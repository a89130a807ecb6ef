"""Which images a model takes, and how many classes it tells apart: its network, its dataset, or its files say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import torch
from torch import Tensor

from zoo_generation.architectures import Architecture, Layout
from zoo_generation.datasets.registry import DATASETS
from zoo_generation.spec import Activation
from zoobench.zoo.importers.recognise import Recognised
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.sink import Row

USUAL = (28, 32, 64, 96, 128, 224, 256)
SIZES = tuple(sorted({*range(1, 65), *USUAL}))
"""Heights and widths that are tried, pixels."""


@dataclass(frozen=True)
class Images:
    """Channels and size of a model's images, and its classes."""

    channels: int
    size: int
    classes: int


def images_of(found: Recognised, known: Row) -> Images:
    """What a network takes and gives; `known`: what the model's files say. Raises `RejectedError` where that is open.

    Registered architectures say all but the size. Of a user's function, what it ignores is found by running its
    network on zeros: what it takes is what it was made for.
    """
    architecture = found.architecture
    native = DATASETS.get(known["dataset"])
    told = (known["image_size"], native.size if native else None)
    if ":" not in architecture.name:
        size = architecture.image_size if architecture.fixed_image_size else next(filter(None, told), None)
        if size is None:
            raise RejectedError(
                f"neither its files nor its network say how large its images are: add 'image_size' (dataset "
                f"{known['dataset']!r:.100})"
            )
        return Images(found.channels, size, found.classes)
    fixed = _depends(architecture, found, "channels")
    channels = (
        (found.channels,)
        if fixed
        else (known["channels"], native.channels if native else None, _fan_in(found.layout), 1, 3)
    )
    activation = known["activation"] if known["activation"] in get_args(Activation) else "relu"
    module = _Module(architecture, found.channels, found.classes, found.width, activation)
    for each in dict.fromkeys(filter(None, channels)):
        for size in filter(None, told):
            if (classes := outputs(module, each, size)) is not None:
                return Images(each, size, classes or found.classes)
    if known["image_size"]:
        raise RejectedError(f"its network takes no images of {known['image_size']} pixels: correct 'image_size'")
    for each in dict.fromkeys(filter(None, channels)):
        if size := _only(taken(module, each)):
            return Images(each, size, outputs(module, each, size) or found.classes)
    raise RejectedError("neither its files nor its network say how large its images are: add 'image_size'")


@dataclass(frozen=True)
class _Module:
    """What a network is built of."""

    architecture: Architecture
    channels: int
    classes: int
    width: float
    activation: str


@lru_cache(maxsize=1024)
def outputs(of: _Module, channels: int, size: int) -> int | None:
    """Classes that the network tells apart on an image of zeros; 0 where its output has another form; none where it
    does not take the image."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            module = of.architecture.build(
                channels=of.channels, classes=of.classes, activation=of.activation, dropout=0.0, width=of.width
            )
            output = module.eval()(torch.zeros(1, channels, size, size))
    except Exception:  # whatever a user's network raises
        return None
    return int(output.shape[1]) if isinstance(output, Tensor) and output.dim() == 2 else 0


@lru_cache(maxsize=256)
def taken(of: _Module, channels: int) -> tuple[int, ...]:
    """The sizes that the network takes, up to the second usual one."""
    found: list[int] = []
    for size in SIZES:
        if outputs(of, channels, size) is not None:
            found.append(size)
        if len([each for each in found if each in USUAL]) > 1:
            break
    return tuple(found)


def _only(sizes: Iterable[int]) -> int | None:
    """The only size, or, of some that pooling rounds to the same, the only usual one."""
    found = list(sizes)
    usual = found if len(found) == 1 else [each for each in found if each in USUAL]
    return usual[0] if len(usual) == 1 else None


def _depends(architecture: Architecture, found: Recognised, argument: str) -> bool:
    """Whether the network's weights depend on a number that it is built with."""
    given = {"channels": found.channels, "classes": found.classes, "width": found.width}
    try:
        return architecture.layout(**(given | {argument: given[argument] + 1})) != found.layout  # type: ignore[arg-type]
    except Exception:  # it is particular about it
        return True


def _fan_in(layout: Layout) -> int | None:
    """Channels that the first convolution takes; none where there is none."""
    return next((entry.shape[1] for entry in layout if len(entry.shape) == 4), None)
