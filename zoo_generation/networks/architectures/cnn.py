"""The small CNNs of the published model zoos (Schürholt et al., arXiv 2209.14764, appendix A).

State-dict keys are those of the published zoos trained without dropout, so that their weights load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo_generation.networks.architectures.activations import activate
from zoo_generation.networks.architectures.architecture import architecture

PAPER = "Schürholt et al., Model Zoos, arXiv 2209.14764"


class CNN(nn.Module):
    """A chain of layers under the published name `module_list`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.module_list = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, channels, height, width] to logits [batch, classes]."""
        return self.module_list(images)


def scaled(units: tuple[int, ...], width: float) -> tuple[int, ...]:
    """Numbers of units times the width, rounded, 1 at least."""
    return tuple(max(1, round(each * width)) for each in units)


def _two_scales(channels: int, units: tuple[int, ...], classes: int, activation: str, dropout: float) -> nn.Module:
    """Two 5×5 convolutions with pooling, a 2×2 convolution, two linear layers, for images of 28×28."""
    first, second, third, hidden = units
    return CNN(
        nn.Conv2d(channels, first, 5),
        nn.MaxPool2d(2),
        activate(activation, dropout),
        nn.Conv2d(first, second, 5),
        nn.MaxPool2d(2),
        activate(activation, dropout),
        nn.Conv2d(second, third, 2),
        activate(activation),
        nn.Flatten(),
        nn.Linear(9 * third, hidden),
        activate(activation, dropout),
        nn.Linear(hidden, classes),
    )


@architecture(image_size=28, fixed_image_size=True, has_width=True, paper=PAPER)
def cnn_s(
    *, channels: int, classes: int = 10, activation: str = "tanh", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """8, 6 and 4 channels, times the width: 2,464 parameters at 1×28×28 and ten classes, 2,864 in RGB."""
    return _two_scales(channels, scaled((8, 6, 4, 20), width), classes, activation, dropout)


@architecture(image_size=28, fixed_image_size=True, has_width=True, paper=PAPER)
def cnn_m(
    *, channels: int, classes: int = 10, activation: str = "tanh", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """6, 9 and 6 channels, times the width: 3,347 parameters at 3×28×28 and ten classes."""
    return _two_scales(channels, scaled((6, 9, 6, 20), width), classes, activation, dropout)


@architecture(image_size=32, fixed_image_size=True, has_width=True, paper=PAPER)
def cnn_l(
    *, channels: int, classes: int = 10, activation: str = "tanh", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """16, 32 and 15 channels, times the width: 10,853 parameters at 3×32×32 and ten classes."""
    first, second, third, hidden = scaled((16, 32, 15, 20), width)
    return CNN(
        nn.Conv2d(channels, first, 3),
        nn.MaxPool2d(2),
        activate(activation),
        nn.Dropout(dropout),
        nn.Conv2d(first, second, 3),
        nn.MaxPool2d(2),
        activate(activation),
        nn.Dropout(dropout),
        nn.Conv2d(second, third, 3),
        nn.MaxPool2d(2),
        activate(activation),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(4 * third, hidden),
        activate(activation),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


@architecture(
    image_size=28, has_width=True, paper="Unterthiner et al., Predicting Accuracy from Weights, arXiv 2002.11448"
)
def small_cnn(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """Three strided convolutions of 16 channels and global pooling: 4,970 parameters for grayscale images.

    The Small CNN Zoo's network. Convolutions are not padded, as in Keras by default.
    """
    (units,) = scaled((16,), width)
    return CNN(
        nn.Conv2d(channels, units, 3, stride=2),
        activate(activation, dropout),
        nn.Conv2d(units, units, 3, stride=2),
        activate(activation, dropout),
        nn.Conv2d(units, units, 3, stride=2),
        activate(activation, dropout),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(units, classes),
    )
