"""The definition of an architecture, and finding one by its name or import path."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures.layout import Layout
from zoo_generation.networks.registry import ARCHITECTURES

WILD = "wild_cnn-"
"""Prefix of names that say a network's layers themselves, see `wild_cnn`. They are in no list of architectures."""

ARGUMENTS = {"channels", "classes", "activation", "dropout", "width"}
"""Arguments of a network. A user's function takes `channels` and `classes`, and any of the others that it needs."""


class Builder(Protocol):
    """Makes the module; its weights are whatever PyTorch's default initialization gives."""

    def __call__(self, *, channels: int, classes: int, activation: str, dropout: float, width: float) -> nn.Module: ...


@dataclass(frozen=True)
class Architecture:
    """A family of networks that differ in channels, classes, activation, dropout and width.

    build: makes the module; image_size: height and width, pixels, of its images unless a spec asks for others;
    fixed_image_size: whether its linear layers allow no others; has_width: whether `width` changes it; summary: one
    line; paper: where it comes from.
    """

    name: str
    build: Builder
    image_size: int
    fixed_image_size: bool
    has_width: bool
    summary: str = ""
    paper: str = ""

    @property
    def needs(self) -> str:
        """What its images must be."""
        size = f"{self.image_size}×{self.image_size}"
        return f"images of {size}" if self.fixed_image_size else f"images of any size, {size} by default"

    def layout(self, channels: int, classes: int, width: float = 1.0) -> Layout:
        """Layout of this architecture's weights, without allocating them."""
        return _layout(self, channels, classes, width)


def architecture(
    *, image_size: int, fixed_image_size: bool = False, has_width: bool = False, paper: str = ""
) -> Callable[[Builder], Architecture]:
    """Decorate a function that builds a module: it becomes an `Architecture` of the function's name and docstring."""

    def decorate(build: Builder) -> Architecture:
        name = build.__name__  # type: ignore[attr-defined]
        return Architecture(name, build, image_size, fixed_image_size, has_width, _first_line(build), paper)

    return decorate


def as_architecture(name: str, found: object) -> Architecture:
    """What an entry point or an import path names, an `Architecture` or a function, as an architecture of that name.

    A function's images are 32 × 32 unless a spec says otherwise. Raises `InputError` if a network cannot be built.
    """
    if isinstance(found, Architecture):
        made = replace(found, name=name)
    elif callable(found):
        taken = inspect.signature(found).parameters.keys() & ARGUMENTS

        def build(**arguments: Any) -> nn.Module:
            return found(**{key: value for key, value in arguments.items() if key in taken})

        made = Architecture(name, build, 32, False, "width" in taken, _first_line(found))
    else:
        raise InputError(f"is of type {type(found).__name__}, and must be a function that returns a torch.nn.Module")
    try:
        made.layout(channels=3, classes=10)
    except InputError:
        raise
    except Exception as error:  # a user's function raises anything
        raise InputError(
            f"cannot be built ({error}); it must take channels and classes by name, and return a torch.nn.Module"
        ) from None
    return made


def architecture_names() -> tuple[str, ...]:
    """Names of zoobench's own architectures, and of those that the user named by import path in this process.

    Those of installed packages are not included: nothing is imported before someone asks for it.
    """
    return (*ARCHITECTURES.own, *ARCHITECTURES.added)


def import_architecture(path: str) -> None:
    """Register a user's function, or an `Architecture`, under its import path `package.module:function`.

    The function takes `channels` and `classes`, and any of `activation`, `dropout` and `width`, by name, and
    returns a module for images of 32 × 32 or of a spec's image size. Modules of the current directory are found too.
    Raises `InputError` if there is no such function, or it does not return a module.
    """
    if path in ARCHITECTURES.added:
        return
    module, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, Architecture):
            inspect.signature(found)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot import the architecture '{path}' ({error}); name a function as package.module:function"
        ) from None
    try:
        ARCHITECTURES.add(path, as_architecture(path, found))
    except InputError as error:
        raise InputError(str(error) if path in str(error) else f"the architecture '{path}' {error}") from None


def get_architecture(name: str) -> Architecture:
    """The architecture of that name. Raises `InputError` with the nearest match if there is none.

    One of an installed package may be named by its entry point or import path; its own name is the import path, which
    zoos keep. No other code is imported: what a zoo's tables name does not run unless the user names it too. A name may
    also say a network's layers, see `wild_cnn`.
    """
    if name.startswith(WILD):
        from zoo_generation.networks.architectures.wild_cnn import wild_cnn

        return wild_cnn(name)
    if name not in architecture_names():
        installed = ARCHITECTURES.installed()
        if name in installed:
            ARCHITECTURES.get(name)  # raises if it cannot be used
            name = installed[name]
        if name in installed.values():
            import_architecture(name)
        elif ":" in name:
            raise InputError(
                f"the architecture '{name}' is a user's code; name it with --architectures {name} to import it"
            )
    return ARCHITECTURES.get(name)


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").split("\n")[0].rstrip(".")


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
