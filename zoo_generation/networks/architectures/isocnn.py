"""Isotropic residual CNNs: all blocks are of one shape, so that layers can be stacked, mixed and added.

Residual blocks as in He et al., Identity Mappings in Deep Residual Networks, arXiv 1603.05027, whose stream passes no
activation: a block whose last BatchNorm has weight 0 changes nothing, whatever the activation.
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo_generation.networks.architectures.activations import activate
from zoo_generation.networks.architectures.architecture import architecture

PAPER = "He et al., Identity Mappings, arXiv 1603.05027"


class IsotropicBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm, added to what comes in."""

    def __init__(self, units: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(units, units, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(units)
        self.activation = activate(activation, dropout)
        self.conv2 = nn.Conv2d(units, units, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(units)

    def forward(self, maps: Tensor) -> Tensor:
        hidden = self.activation(self.bn1(self.conv1(maps)))
        return maps + self.bn2(self.conv2(hidden))


class IsotropicCNN(nn.Module):
    """A strided stem, equal residual blocks, global average pooling, a linear classifier."""

    def __init__(self, depth: int, channels: int, classes: int, activation: str, dropout: float, width: float) -> None:
        super().__init__()
        units = max(1, round(8 * width))
        self.stem = nn.Conv2d(channels, units, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(units)
        self.activation = activate(activation)
        self.blocks = nn.Sequential(*(IsotropicBlock(units, activation, dropout) for _ in range(depth)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(units, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, channels, height, width] to logits [batch, classes]."""
        maps = self.blocks(self.activation(self.norm(self.stem(images))))
        return self.head(self.pool(maps).flatten(1))


@architecture(image_size=28, has_width=True, paper=PAPER)
def isocnn_2(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """Two residual blocks of one shape, `round(8·width)` channels: 2,546 parameters in grey."""
    return IsotropicCNN(2, channels, classes, activation, dropout, width)


@architecture(image_size=28, has_width=True, paper=PAPER)
def isocnn_4(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """As isocnn_2 with four blocks: 4,914 parameters in grey."""
    return IsotropicCNN(4, channels, classes, activation, dropout, width)
