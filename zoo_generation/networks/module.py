"""A network as a plain module: built of what decides it, given weights, run on images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.architectures.init import initialise
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.networks.registry import ACTIVATIONS, known_activation

State = Mapping[str, Tensor]
"""Weights by name, as in a state dict."""


@dataclass(frozen=True)
class Network:
    """Everything that decides a network except its weights: the arguments of its architecture's function."""

    architecture: str
    channels: int
    classes: int
    activation: str
    dropout: float
    width: float

    def build(self, seed: int, init: str) -> nn.Module:
        """The module, in training mode, with initial weights that depend on the seed alone."""
        with seeded(seed):
            module = get_architecture(self.architecture).build(
                channels=self.channels,
                classes=self.classes,
                activation=self.activation,
                dropout=self.dropout,
                width=self.width,
            )
            initialise(module, init)
        return module


def kept(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The part of a state dict that a zoo keeps: its floating-point entries, as float32."""
    return {
        name: value.detach().float()
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }


def load(module: nn.Module, state: State) -> None:
    """Load the part of its state dict that a zoo keeps into a module, and leave it in training mode.

    The weights belong to that mode: some networks fold weights into others when they leave it.
    """
    module.train()
    module.load_state_dict(state, strict=False)


def build_module(row: pd.Series) -> nn.Module:
    """The module of a row of a zoo, in evaluation mode, its weights not yet those of any checkpoint.

    Raises `InputError` if it cannot be built from the row's columns, for instance if its activation is not known, and
    if a user's network does not return logits for the row's images.
    """
    name, given, dropout = row["architecture"], row["activation"], row.get("dropout")
    given, known = None if pd.isna(given) else given, known_activation(given)
    build = partial(
        get_architecture(name).build,
        channels=int(row["channels"]),
        classes=int(row["classes"]),
        activation=known or cast(str, given),  # a user's function may do without
        width=float(row["width"]),
    )
    try:
        if ":" not in name:
            return build(dropout=0.0).eval()
        with seeded(EVALUATION_SEED):
            module = build(dropout=0.0 if dropout is None or pd.isna(dropout) else float(dropout)).eval()
    except Exception as error:  # whatever a user's function raises
        if isinstance(error, InputError) and known is not None:
            raise
        which = f"models of '{name}' on '{row['dataset']}'" if "dataset" in row else f"models of '{name}'"
        if known is None:
            told = "is empty" if given is None else f"says '{given}'"
            raise InputError(
                f"{which} cannot be built, since the column 'activation' of their zoo {told}; the activations that "
                f"are known are {', '.join(ACTIVATIONS)}: import them again with one of these"
            ) from None
        raise InputError(f"{which} cannot be built from their columns: {first_line(error)}") from None
    image = torch.zeros(2, int(row["channels"]), int(row["image_size"]), int(row["image_size"]))
    with seeded(EVALUATION_SEED), torch.no_grad():
        output_of(name, module, image, int(row["classes"]))
    return module


def runnable_module(row: pd.Series) -> nn.Module:
    """As `build_module`; raises `InputError` also if the module cannot be run on images of the row's size."""
    module, size = build_module(row), int(row["image_size"])
    try:
        with torch.no_grad():
            module(torch.zeros(1, int(row["channels"]), size, size))
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"'{row['architecture']}' cannot be run on images of {size} × {size} pixels, as the column 'image_size' of "
            f"the zoo has it ({reason})"
        ) from None
    return module


def output_of(name: str, module: nn.Module, images: Tensor, classes: int) -> Tensor:
    """The logits of a network for images [batch, channels, height, width]. Raises `InputError` if it returns others."""
    mode = "training" if module.training else "evaluation"
    try:
        output = module(images)
    except Exception as error:  # whatever a user's forward pass raises
        shape = " × ".join(map(str, images.shape[1:]))
        raise InputError(
            f"the architecture '{name}' cannot be run on images of {shape} in {mode}: {first_line(error)}"
        ) from None
    floats = isinstance(output, Tensor) and output.is_floating_point() and output.dim() == 2
    if floats and len(output) == len(images) and output.shape[1] >= classes:
        return output
    raise InputError(
        f"the architecture '{name}' must return logits, one floating-point tensor [images, classes], here "
        f"[{len(images)}, {classes}], and returns {_described(output)} in {mode}"
    )


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor {list(output.shape)} of {str(output.dtype).removeprefix('torch.')}"
    if isinstance(output, dict):
        return f"a dict of {', '.join(map(repr, output))}"
    many = f" of {len(output)}" if isinstance(output, tuple | list) else ""
    return f"a {type(output).__name__}{many}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has no message."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
