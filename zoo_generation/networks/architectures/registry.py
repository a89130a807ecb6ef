"""The registry of architectures: adding one is one function with a decorator."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.architectures.layout import Layout


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


def import_architecture(path: str) -> None:
    """Register a user's function under its import path `package.module:function`.

    The function takes `channels` and `classes`, and of `activation`, `dropout` and `width` what it wants, by name, and
    returns a module for images of 32 × 32 or of a spec's image size. Modules of the current directory are found too.
    Raises `InputError` where there is no such function, or it does not return a module.
    """
    if path in _ARCHITECTURES:
        return
    module, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), name)
        taken = inspect.signature(function).parameters.keys() & {
            "channels",
            "classes",
            "activation",
            "dropout",
            "width",
        }
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot import the architecture '{path}' ({error}); name a function as package.module:function"
        ) from None

    def build(**arguments: Any) -> nn.Module:
        return function(**{key: value for key, value in arguments.items() if key in taken})

    architecture = Architecture(path, build, image_size=32, fixed_image_size=False, has_width="width" in taken)
    try:
        architecture.layout(channels=3, classes=10)
    except InputError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise InputError(
            f"the architecture '{path}' cannot be built ({error}); it must take channels and classes by name, and "
            "return a torch.nn.Module"
        ) from None
    _ARCHITECTURES[path] = architecture


def get_architecture(name: str) -> Architecture:
    """The architecture of that name. Raises `InputError`, naming the nearest match, where there is none.

    Imports nothing: what a zoo's tables name is not run unless the user names it too.
    """
    if name not in _ARCHITECTURES and ":" in name:
        raise InputError(
            f"the architecture '{name}' is a user's code; name it with --architectures {name} to import it"
        )
    if name not in _ARCHITECTURES:
        raise unknown("architecture", name, _ARCHITECTURES)
    return _ARCHITECTURES[name]


@lru_cache(maxsize=256)
def _layout(architecture: Architecture, channels: int, classes: int, width: float) -> Layout:
    def build() -> nn.Module:
        return architecture.build(channels=channels, classes=classes, activation="relu", dropout=0.0, width=width)

    try:
        with torch.device("meta"):
            state = build().state_dict()
    except Exception:  # a user's function may ask a tensor for a number, and those of this device have none
        with torch.random.fork_rng(devices=[]):
            state = build().state_dict()
    if found := [name for name, value in state.items() if torch.is_tensor(value) and value.is_complex()]:
        raise InputError(
            f"the architecture '{architecture.name}' has complex numbers in '{found[0]}', which a zoo does not keep; "
            "make it a parameter of real ones [..., 2], and torch.view_as_complex of it in the forward pass"
        )
    return Layout.of(state)
