"""Probes that are learned through a linear generator, and the network that reads what models answer to them.

Source: Kahana et al., Deep linear probe generators for weight space learning, ICLR 2025, arXiv 2410.10811, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

DOUBLINGS = 3  # of the side of a map, from the first one to the image


@dataclass(frozen=True)
class Sides:
    """What all models that a network probes have in common: the sides of their images, and of their answers."""

    channels: int
    image_size: int
    classes: int

    @property
    def words(self) -> str:
        """As in a sentence.

        >>> Sides(1, 28, 10).words
        '1×28×28 pixels to 10 classes'
        """
        return f"{self.channels}×{self.image_size}×{self.image_size} pixels to {self.classes} classes"


class ProbeGenerator(nn.Module):
    """Learned codes, and one stack of transposed convolutions without activations that makes an image of each.

    Without activations between its layers it makes smooth images, which is what regularises it; pixels end in [-1, 1].
    """

    def __init__(self, sides: Sides, probes: int, code: int, channels: int) -> None:
        super().__init__()
        first = -(-sides.image_size // 2**DOUBLINGS)
        self.size = sides.image_size
        self.codes = nn.Parameter(torch.randn(probes, code, 1, 1))
        doubling = [nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1) for _ in range(DOUBLINGS)]
        last = nn.ConvTranspose2d(channels, sides.channels, 3, padding=1)
        layers = [nn.ConvTranspose2d(code, channels, first, stride=first), *doubling, last]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        for layer in layers:  # PyTorch's own initialization shrinks maps until all images are alike
            inputs, _, side, _ = layer.weight.shape
            nn.init.normal_(layer.weight, std=(inputs * (side / layer.stride[0]) ** 2) ** -0.5)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self) -> Tensor:
        """Images [probes, channels, height, width]: the middle of what the layers make."""
        images: Tensor = self.layers(self.codes)
        edge = (images.shape[-1] - self.size) // 2
        return images[..., edge : edge + self.size, edge : edge + self.size].contiguous()


class ProbeReader(nn.Module):
    """The generator, and a perceptron that reads answers [models, probes, classes]: features [models, width].

    Without standardized answers, and dropout of these, it knows a hundred training models by heart in a hundred steps.
    """

    def __init__(
        self, sides: Sides, probes: int, code: int, channels: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.generator = ProbeGenerator(sides, probes, code, channels)
        sizes = [probes * sides.classes, *[hidden] * layers]
        parts = [(nn.Linear(one, other), nn.ReLU()) for one, other in pairwise(sizes)]
        kept = nn.BatchNorm1d(sizes[0]), nn.Dropout(dropout)
        self.read = nn.Sequential(*kept, *[layer for part in parts for layer in part])

    def forward(self, answers: Tensor) -> Tensor:
        return self.read(squashed(answers))


def squashed(answers: Tensor) -> Tensor:
    """Answers [models, probes, classes] as one row per model; of large ones, as of models that ran away, logarithms."""
    return answers.asinh().flatten(1)
