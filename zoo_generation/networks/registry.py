"""Architectures, activations and initializations by name. Imports no PyTorch, so that specs are quick to check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo_generation.errors import InputError
from zoo_generation.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_generation.networks.architectures.architecture import Architecture

    Activation = Callable[[], nn.Module]
    Initialization = Callable[[Tensor], Tensor]


def _architecture(name: str, found: object) -> Architecture:
    from zoo_generation.networks.architectures.architecture import as_architecture

    return as_architecture(name, found)


def _activation(name: str, found: object) -> Activation:
    from torch import nn

    if not callable(found) or not isinstance(found(), nn.Module):
        raise InputError("is not a class of torch.nn.Module, or a function without arguments that returns a module")
    return found


def _initialization(name: str, found: object) -> Initialization:
    if not callable(found):
        raise InputError("is not a function that fills a tensor of weights in place")
    return found


ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    "zoobench.architectures",
    {
        "cnn_s": "zoo_generation.networks.architectures.cnn:cnn_s",
        "cnn_m": "zoo_generation.networks.architectures.cnn:cnn_m",
        "cnn_l": "zoo_generation.networks.architectures.cnn:cnn_l",
        "small_cnn": "zoo_generation.networks.architectures.cnn:small_cnn",
        "mlp": "zoo_generation.networks.architectures.mlp:mlp",
        "mlp_1": "zoo_generation.networks.architectures.mlp:mlp_1",
        "isocnn_2": "zoo_generation.networks.architectures.isocnn:isocnn_2",
        "isocnn_4": "zoo_generation.networks.architectures.isocnn:isocnn_4",
        "resnet10": "zoo_generation.networks.architectures.resnet:resnet10",
        "resnet18": "zoo_generation.networks.architectures.resnet:resnet18",
    },
    _architecture,
)
"""The names in which `get_architecture` looks."""

ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    "zoobench.activations",
    {"tanh": "torch.nn:Tanh", "relu": "torch.nn:ReLU", "gelu": "torch.nn:GELU", "sigmoid": "torch.nn:Sigmoid"},
    _activation,
)
"""Those of the published zoos (Schürholt et al., Model Zoos, arXiv 2209.14764, section 3), and of packages."""

INITIALIZATIONS: Registry[Initialization] = Registry(
    "initialization",
    "zoobench.inits",
    {
        "uniform": "zoo_generation.networks.architectures.init:uniform",
        "normal": "zoo_generation.networks.architectures.init:normal",
        "small_normal": "zoo_generation.networks.architectures.init:small_normal",
        "kaiming_uniform": "torch.nn.init:kaiming_uniform_",
        "kaiming_normal": "torch.nn.init:kaiming_normal_",
    },
    _initialization,
)
"""Functions that fill a weight in place: those of the published zoos (as above), and of packages."""


def known_activation(name: object) -> str | None:
    """The registered activation that a name means, however it is spelled (`ReLU`); None if there is none."""
    if not isinstance(name, str):
        return None
    return next((each for each in (name, name.lower()) if each in ACTIVATIONS), None)
