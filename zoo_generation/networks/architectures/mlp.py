"""Multilayer perceptrons."""

from __future__ import annotations

from torch import nn

from zoo_generation.networks.architectures.activations import activate
from zoo_generation.networks.architectures.architecture import architecture


@architecture(image_size=28, fixed_image_size=True, has_width=True)
def mlp(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """Two hidden layers of `round(64·width)` units on 28×28 images: 55,050 parameters in grey at width 1."""
    hidden = max(1, round(64 * width))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * 28 * 28, hidden),
        activate(activation, dropout),
        nn.Linear(hidden, hidden),
        activate(activation, dropout),
        nn.Linear(hidden, classes),
    )


@architecture(image_size=1, fixed_image_size=True, has_width=True, paper="arXiv 2404.17563")
def mlp_1(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """One hidden layer of `round(64·width)` units on flat inputs, which are images of one pixel."""
    hidden = max(1, round(64 * width))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels, hidden), activate(activation, dropout), nn.Linear(hidden, classes)
    )
