"""Architectures of zoo models: plain `nn.Module`s made by functions. `networks/registry.py` lists them."""

from zoo_generation.networks.architectures.architecture import (
    Architecture,
    architecture,
    architecture_names,
    get_architecture,
    import_architecture,
)
from zoo_generation.networks.architectures.layout import Layout, LayoutEntry

__all__ = [
    "Architecture",
    "Layout",
    "LayoutEntry",
    "architecture",
    "architecture_names",
    "get_architecture",
    "import_architecture",
]
