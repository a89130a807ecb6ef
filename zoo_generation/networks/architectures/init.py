"""Weight initializations of the published zoos (Schürholt et al., arXiv 2209.14764, section 3)."""

from __future__ import annotations

from torch import Tensor, nn

from zoo_generation.networks.registry import INITIALIZATIONS


def uniform(weight: Tensor) -> Tensor:
    """Fill a weight from the uniform distribution on [-0.1, 0.1]."""
    return nn.init.uniform_(weight, a=-0.1, b=0.1)


def normal(weight: Tensor) -> Tensor:
    """Fill a weight from the normal distribution of standard deviation 0.1."""
    return nn.init.normal_(weight, std=0.1)


def small_normal(weight: Tensor) -> Tensor:
    """Fill a weight from the normal distribution of standard deviation 0.01 (Nam et al., arXiv 2404.17563)."""
    return nn.init.normal_(weight, std=0.01)


def initialise(module: nn.Module, init: str) -> None:
    """Draw every convolution's and linear layer's weight by `init` from torch's global generator; biases zero.

    BatchNorm keeps weight one and bias zero.
    """
    fill = INITIALIZATIONS.get(init)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fill(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
