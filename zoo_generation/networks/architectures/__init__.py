"""Architectures of zoo models: plain `nn.Module`s made by registered functions."""

from zoo_generation.networks.architectures import cnn as _cnn
from zoo_generation.networks.architectures import mlp as _mlp
from zoo_generation.networks.architectures import resnet as _resnet
from zoo_generation.networks.architectures.layout import Entry, Layout
from zoo_generation.networks.architectures.registry import (
    Architecture,
    architecture_names,
    get_architecture,
    import_architecture,
    register,
)

__all__ = [
    "Architecture",
    "Entry",
    "Layout",
    "architecture_names",
    "get_architecture",
    "import_architecture",
    "register",
]

del _cnn, _mlp, _resnet  # imported so that they register themselves
