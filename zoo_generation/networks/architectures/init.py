"""Weight initializations of the published zoos (Schürholt et al., arXiv 2209.14764, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

INITS: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": partial(nn.init.uniform_, a=-0.1, b=0.1),
    "normal": partial(nn.init.normal_, std=0.1),
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
}


def initialise(module: nn.Module, init: str) -> None:
    """Draw every convolution's and linear layer's weight by `init` from torch's global generator; biases zero.

    BatchNorm keeps weight one and bias zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            INITS[init](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
