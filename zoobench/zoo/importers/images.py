"""The images and the number of classes of a model, from its network, its dataset, or its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from zoo_generation.data.registry import find_dataset
from zoo_generation.networks.architectures import Architecture, Layout
from zoo_generation.networks.registry import ACTIVATIONS
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.recognise import Recognised
from zoobench.zoo.sink import Row

USUAL = (28, 32, 64, 96, 128, 224, 256)
SIZES = tuple(sorted({*range(1, 65), *USUAL}))
"""Heights and widths to try, pixels."""


@dataclass(frozen=True)
class ImageShape:
    """Channels and size of a model's images, and its classes."""

    channels: int
    size: int
    classes: int


def images_of(found: Recognised, known: Row) -> ImageShape:
    """The input and output of a network; `known`: from the model's files. Raises `RejectedError` if that is not enough.

    Registered architectures decide all but the size. A user's function may leave more open: then its network is run on
    zeros, and works only for the images that it was made for.
    """
    architecture = found.architecture
    native = find_dataset(known["dataset"])
    told = (known["image_size"], native.size if native else None)
    if ":" not in architecture.name:
        size = architecture.image_size if architecture.fixed_image_size else next(filter(None, told), None)
        if size is None:
            raise RejectedError(
                f"neither its files nor its network say how large its images are: add 'image_size' (dataset "
                f"{known['dataset']!r:.100})"
            )
        return ImageShape(found.channels, size, found.classes)
    channels: list[int | None] = [found.channels]
    if not _depends(architecture, found, "channels"):
        channels = [known["channels"], native.channels if native else None, _fan_in(found.layout), 1, 3]
    activation = known["activation"] if known["activation"] in ACTIVATIONS else "relu"
    network = _Network(architecture, found.channels, found.classes, found.width, activation)
    taken = _taken(network, tuple(dict.fromkeys(filter(None, channels))), tuple(filter(None, told)))
    if taken is None:
        raise RejectedError("neither its files nor its network say how large its images are: add 'image_size'")
    if known["image_size"] not in (None, taken[1]):
        raise RejectedError(f"its network takes no images of {known['image_size']} pixels: correct 'image_size'")
    classes = found.classes if _depends(architecture, found, "classes") else _outputs(network, *taken)
    return ImageShape(*taken, classes or _last_size(found.layout))


@dataclass(frozen=True)
class _Network:
    """What a network is built of."""

    architecture: Architecture
    channels: int
    classes: int
    width: float
    activation: str


def _taken(network: _Network, channels: tuple[int, ...], told: tuple[int, ...]) -> tuple[int, int] | None:
    """Channels and size of the network's images: the given size, or else the only one that works."""
    for each in channels:
        for size in told:
            if _outputs(network, each, size) is not None:
                return each, size
    for each in channels:
        if only := _only(_sizes(network, each)):
            return each, only
    return None


@lru_cache(maxsize=1024)
def _outputs(network: _Network, channels: int, size: int) -> int | None:
    """Outputs of the network for an image of zeros, 0 if they are not of that form; None if it cannot take one."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            module = network.architecture.build(
                channels=network.channels,
                classes=network.classes,
                activation=network.activation,
                dropout=0.0,
                width=network.width,
            )
            output = module.eval()(torch.zeros(1, channels, size, size))
    except Exception:  # whatever a user's network raises
        return None
    pieces = [output, *(output.values() if isinstance(output, dict) else output if isinstance(output, tuple) else ())]
    return next((int(each.shape[1]) for each in pieces if isinstance(each, Tensor) and each.dim() == 2), 0)


@lru_cache(maxsize=256)
def _sizes(network: _Network, channels: int) -> tuple[int, ...]:
    """The sizes that work, up to the second usual one."""
    found: list[int] = []
    for size in SIZES:
        if _outputs(network, channels, size) is not None:
            found.append(size)
        if len([each for each in found if each in USUAL]) > 1:
            break
    return tuple(found)


def _only(sizes: Iterable[int]) -> int | None:
    """The only size, or the only usual one if pooling rounds several to the same."""
    found = list(sizes)
    usual = found if len(found) == 1 else [each for each in found if each in USUAL]
    return usual[0] if len(usual) == 1 else None


def _depends(architecture: Architecture, found: Recognised, argument: str) -> bool:
    """Whether the network's weights depend on a number that it is built with."""
    given = {"channels": found.channels, "classes": found.classes, "width": found.width}
    try:
        return architecture.layout(**(given | {argument: given[argument] + 1})) != found.layout  # type: ignore[arg-type]
    except Exception:  # the function does not take this number
        return True


def _fan_in(layout: Layout) -> int | None:
    """Channels of the first convolution's input; None if there is no convolution."""
    return next((entry.shape[1] for entry in layout if len(entry.shape) == 4), None)


def _last_size(layout: Layout) -> int:
    """Rows of the last matrix: the outputs of the last linear layer."""
    return next((entry.shape[0] for entry in reversed(layout.entries) if len(entry.shape) == 2), 1)
