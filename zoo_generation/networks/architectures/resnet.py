"""ResNets with a width multiplier and the CIFAR stem (He et al., arXiv 1512.03385).

State-dict keys are torchvision's; the stem is one 3×3 convolution without pooling, for images of 16 to 64
pixels. Width 1 of ResNet-18 has 64 channels in the first stage and 11,173,962 parameters in RGB at ten classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo_generation.networks.architectures.activations import activate
from zoo_generation.networks.architectures.architecture import architecture

PAPER = "He et al., Deep Residual Learning, arXiv 1512.03385"


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Sequential()
        )
        self.activation = activate(activation)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.activation(self.bn1(self.conv1(images)))
        return self.activation(self.bn2(self.conv2(hidden)) + self.downsample(images))


class ResNet(nn.Module):
    """Stem, four stages of `blocks` blocks each, global average pooling, linear classifier."""

    def __init__(self, blocks: int, channels: int, classes: int, activation: str, dropout: float, width: float) -> None:
        super().__init__()
        stages = [max(1, round(64 * 2**stage * width)) for stage in range(4)]
        self.conv1 = nn.Conv2d(channels, stages[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stages[0])
        self.activation = activate(activation)
        self.layer1 = _stage(blocks, stages[0], stages[0], 1, activation)
        self.layer2 = _stage(blocks, stages[0], stages[1], 2, activation)
        self.layer3 = _stage(blocks, stages[1], stages[2], 2, activation)
        self.layer4 = _stage(blocks, stages[2], stages[3], 2, activation)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(stages[3], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, channels, height, width] to logits [batch, classes]."""
        hidden = self.activation(self.bn1(self.conv1(images)))
        hidden = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        return self.fc(self.dropout(self.avgpool(hidden).flatten(1)))


def _stage(blocks: int, inputs: int, outputs: int, stride: int, activation: str) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, activation)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1, activation) for _ in range(blocks - 1)))


@architecture(image_size=32, has_width=True, paper=PAPER)
def resnet10(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """ResNet-18 with one block per stage in place of two, to be grown in depth."""
    return ResNet(1, channels, classes, activation, dropout, width)


@architecture(image_size=32, has_width=True, paper=PAPER)
def resnet18(
    *, channels: int, classes: int = 10, activation: str = "relu", dropout: float = 0.0, width: float = 1.0
) -> nn.Module:
    """ResNet-18 whose stages have `round(64·width·2^stage)` channels."""
    return ResNet(2, channels, classes, activation, dropout, width)
