"""The registry of architectures: adding one is one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import nn

from zoo_generation.architectures.layout import Layout
from zoo_generation.errors import unknown


class Builder(Protocol):
    """Makes the module; its weights are whatever PyTorch's default initialization gives."""

    def __call__(self, *, channels: int, classes: int, activation: str, dropout: float, width: float) -> nn.Module: ...


@dataclass(frozen=True)
class Architecture:
    """A registered architecture.

    `image_size` is the height and width of the images it takes unless a spec asks for others;
    `fixed_image_size` says that its linear layers allow no other.
    """

    name: str
    build: Builder
    image_size: int
    fixed_image_size: bool
    has_width: bool

    def layout(self, channels: int, classes: int, width: float = 1.0) -> Layout:
        """Layout of this architecture's weights, without allocating them."""
        return _layout(self, channels, classes, width)


_ARCHITECTURES: dict[str, Architecture] = {}


def register(
    *, image_size: int, fixed_image_size: bool = False, has_width: bool = False
) -> Callable[[Builder], Builder]:
    """Register a builder under its function's name."""

    def decorate(build: Builder) -> Builder:
        name = build.__name__  # type: ignore[attr-defined]
        _ARCHITECTURES[name] = Architecture(name, build, image_size, fixed_image_size, has_width)
        return build

    return decorate


def architecture_names() -> tuple[str, ...]:
    """Names of all registered architectures."""
    return tuple(_ARCHITECTURES)


def get_architecture(name: str) -> Architecture:
    """The architecture of that name. Raises `InputError`, naming the nearest match, where there is none."""
    if name not in _ARCHITECTURES:
        raise unknown("architecture", name, _ARCHITECTURES)
    return _ARCHITECTURES[name]


@lru_cache(maxsize=256)
def _layout(architecture: Architecture, channels: int, classes: int, width: float) -> Layout:
    with torch.device("meta"):
        module = architecture.build(channels=channels, classes=classes, activation="relu", dropout=0.0, width=width)
    return Layout.of(module.state_dict())
