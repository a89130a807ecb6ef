"""Networks of the CNN Wild Park: each has layers, kernels, activations and residuals of its own, which its name says.

Source: Kofinas et al., Graph Neural Networks for Learning Equivariant Representations of Neural Networks, arXiv
2403.12143, appendix on the CNN Wild Park.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures.architecture import WILD, Architecture

CHANNELS, KERNEL, LAYERS = 256, 9, 16  # at most: a name may come from a file of a stranger
LAYER = re.compile(r"(\d{1,3})x(\d)([a-z])(?:\+(\d{1,2}))?")
ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "none": nn.Identity,
}
LETTERS = {name[0]: name for name in ACTIVATIONS}


@dataclass(frozen=True)
class WildLayer:
    """A padded convolution: its channels, its odd kernel size, its activation by name, and the earlier layer whose
    output is added to it before that, counted from 0, None if there is none."""

    channels: int
    kernel: int
    activation: str
    residual: int | None = None


class WildCNN(nn.Module):
    """Convolutions in a row, global pooling, and a linear layer; keys are those of the published weights.

    A residual adds the channels that both layers have.
    """

    def __init__(self, channels: int, classes: int, layers: Sequence[WildLayer]) -> None:
        super().__init__()
        widths = [channels, *(layer.channels for layer in layers)]
        self.layers = nn.ModuleList(
            nn.Conv2d(widths[place], layer.channels, layer.kernel, padding=layer.kernel // 2)
            for place, layer in enumerate(layers)
        )
        self.activations = nn.ModuleList(ACTIVATIONS[layer.activation]() for layer in layers)
        self.residuals = [layer.residual for layer in layers]
        self.widths = widths[1:]
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, channels, height, width] to logits [batch, classes]."""
        outputs: list[Tensor] = []
        found = images
        for place, (layer, activation) in enumerate(zip(self.layers, self.activations, strict=True)):
            found = layer(found)
            residual, width = self.residuals[place], self.widths[place]
            if residual is not None:
                earlier = self.widths[residual]
                common = min(earlier, width)
                if earlier == width:
                    found = found + outputs[residual]
                else:
                    added = found[:, :common] + outputs[residual][:, :common]
                    found = torch.cat([added, found[:, common:]], dim=1)
            found = activation(found)
            outputs.append(found)
        return self.fc(self.flatten(self.global_pool(found)))


def wild_name(layers: Sequence[WildLayer]) -> str:
    """The architecture's name for these layers.

    >>> wild_name([WildLayer(8, 3, "relu"), WildLayer(16, 5, "gelu"), WildLayer(8, 3, "none", residual=0)])
    'wild_cnn-8x3r-16x5g-8x3n+0'
    """
    parts = [
        f"{layer.channels}x{layer.kernel}{layer.activation[0]}"
        + ("" if layer.residual is None else f"+{layer.residual}")
        for layer in layers
    ]
    return WILD + "-".join(parts)


@lru_cache(maxsize=4096)
def wild_cnn(name: str) -> Architecture:
    """The architecture of such a name. Raises `InputError` if it is not one, or is larger than those of the park."""
    layers = []
    for place, part in enumerate(name.removeprefix(WILD).split("-")):
        found = LAYER.fullmatch(part)
        if not found or found[3] not in LETTERS:
            raise InputError(f"'{name[:200]}' has a layer '{part[:20]}'; write channels, x, kernel size and a letter")
        residual = None if found[4] is None else int(found[4])
        layers.append(WildLayer(int(found[1]), int(found[2]), LETTERS[found[3]], residual))
        wrong = not 0 < layers[-1].channels <= CHANNELS or layers[-1].kernel % 2 == 0 or layers[-1].kernel > KERNEL
        if wrong or place >= LAYERS or (residual is not None and residual >= place - 1):
            raise InputError(
                f"'{name[:200]}' has a layer '{part}'; take at most {LAYERS} layers of {CHANNELS} channels, odd "
                f"kernels up to {KERNEL}, and residuals from before the layer before"
            )

    def build(*, channels: int, classes: int, activation: str, dropout: float, width: float) -> nn.Module:
        return WildCNN(channels, classes, layers)

    return Architecture(name, build, 32, False, False, f"{len(layers)} layers of the CNN Wild Park")
