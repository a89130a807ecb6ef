"""Networks of a grammar: blocks of maps to maps, of all kinds that PyTorch lets a module be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from zoo_generation.networks.architectures import Architecture
from zoo_generation.networks.registry import ARCHITECTURES

CHANNELS = 4
SIDE = 8  # pixels of the maps
Maps = Callable[[Any, Tensor], Tensor]


def conv(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, **options)


class Block(nn.Module):
    """Layers, and a function of them and of maps."""

    def __init__(self, forward: Maps, **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, maps: Tensor) -> Tensor:
        return self.function(self, maps)


def with_parameter(forward: Maps, value: Tensor, frozen: bool = False) -> Block:
    block = Block(forward)
    block.p = nn.Parameter(value, requires_grad=not frozen)
    return block


def with_buffer(forward: Maps, value: Tensor, persistent: bool = True) -> Block:
    block = Block(forward)
    block.register_buffer("b", value, persistent=persistent)
    return block


class FrozenNorm(nn.Sequential):
    """Fine-tuners' BatchNorm, whose statistics stay."""

    def train(self, mode: bool = True) -> FrozenNorm:
        return super().train(False)


class Folding(nn.Module):
    """Adds a low-rank weight to a convolution's while it is evaluated, and takes it off to train on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.low, self.folded = conv(), nn.Parameter(torch.randn(CHANNELS, 1, 1, 1) / 9), False

    def train(self, mode: bool = True) -> Folding:
        if mode == self.folded:
            self.conv.weight.data += self.low.data * (-1 if mode else 1)
            self.folded = not mode
        return super().train(mode)

    def forward(self, maps: Tensor) -> Tensor:
        return F.conv2d(maps, self.conv.weight + (0 if self.folded else self.low), self.conv.bias, padding=1)


class Rounded(torch.autograd.Function):
    """Rounded to tenths, although its gradient ignores this."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return (values * 10).round() / 10

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Odd(nn.Module):
    """A parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight - weight.flip(-1)


def changed(layer: nn.Module, change: Callable[[nn.Module], Any]) -> nn.Module:
    change(layer)
    return layer


def tied() -> Block:
    block = Block(lambda self, x: self.two(torch.tanh(self.one(x))), one=conv(), two=conv())
    block.two.weight = block.one.weight
    return block


def counting(self: Any, x: Tensor) -> Tensor:
    self.calls = getattr(self, "calls", 0) + 1
    return x


def averaging(self: Any, x: Tensor) -> Tensor:
    if self.training:
        with torch.no_grad():
            self.b.lerp_(x.mean(), 0.1)
    return x - self.b


def noise(self: Any, x: Tensor) -> Tensor:
    return x + 0.1 * torch.randn_like(x) if self.training else x


STACKED: dict[str, Callable[[], nn.Module]] = {
    "conv": conv,
    "grouped": lambda: conv(groups=2, bias=False),
    "strided": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, stride=(2, 1), padding=(4, 1), dilation=1),
    "relu": nn.ReLU,
    "relu in place": lambda: nn.Sequential(conv(), nn.ReLU(inplace=True)),
    "gelu": nn.GELU,
    "functional tanh": lambda: Block(lambda self, x: torch.tanh(x)),
    "average": lambda: nn.AvgPool2d(3, stride=1, padding=1),
    "pooled": lambda: nn.Sequential(conv(), nn.MaxPool2d(2), nn.Conv2d(CHANNELS, CHANNELS, 1, padding=2)),
    "batch norm": lambda: nn.BatchNorm2d(CHANNELS),
    "plain batch norm": lambda: nn.BatchNorm2d(CHANNELS, affine=False, track_running_stats=False),
    "dropout": lambda: nn.Dropout(0.2),
    "residual": lambda: Block(lambda self, x: x + self.conv(x), conv=conv()),
    "called twice": lambda: Block(
        lambda self, x: self.norm(self.conv(self.norm(self.conv(x)))), conv=conv(), norm=nn.BatchNorm2d(4)
    ),
    "frozen": lambda: conv().requires_grad_(False),
    "frozen in part": lambda: changed(nn.BatchNorm2d(CHANNELS), lambda layer: layer.weight.requires_grad_(False)),
    "unused": lambda: Block(lambda self, x: x, conv=conv()),
    "computed and dropped": lambda: Block(lambda self, x: (x, self.conv(x))[0], conv=conv()),
    "counter without effect": lambda: with_buffer(lambda self, x: x, torch.tensor(3)),
    "bound name": lambda: Block(lambda self, x: self.b(self.a(x)), **dict.fromkeys("ab", nn.Dropout(0.2))),
    "checkpointed": lambda: Block(lambda self, x: checkpoint(self.conv, x, use_reentrant=False), conv=conv()),
    "dropout in place": lambda: Block(
        lambda self, x: (x := 1 * x, self.drop(x))[0], drop=nn.Dropout(0.2, inplace=True)
    ),
}
"""What stacks compute."""

ALONE: dict[str, Callable[[], nn.Module]] = {
    "prelu": nn.PReLU,
    "reflect": lambda: conv(padding_mode="reflect"),
    "transposed": lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1),
    "batch norm without momentum": lambda: nn.BatchNorm2d(CHANNELS, momentum=None),
    "batch norm in evaluation": lambda: FrozenNorm(nn.BatchNorm2d(CHANNELS)),
    "group norm": lambda: nn.GroupNorm(2, CHANNELS),
    "layer norm": lambda: nn.LayerNorm(SIDE),
    "instance norm": lambda: nn.InstanceNorm2d(CHANNELS, affine=True, track_running_stats=True),
    "linear on maps": lambda: nn.Linear(SIDE, SIDE),
    "attention": lambda: Block(
        lambda self, x: self.a(*[x.flatten(2).mT] * 3)[0].mT.reshape(x.shape),
        a=nn.MultiheadAttention(CHANNELS, 2, dropout=0.1, batch_first=True),
    ),
    "dropout of maps": lambda: nn.Dropout2d(0.2),
    "alpha dropout": lambda: nn.AlphaDropout(0.2),
    "functional dropout": lambda: Block(lambda self, x: F.dropout(x, 0.2, self.training)),
    "dropout always": lambda: Block(lambda self, x: F.dropout(x, 0.1)),
    "noise": lambda: Block(noise),
    "random numbers": lambda: Block(lambda self, x: x * (random.random() + np.random.rand()) if self.training else x),
    "branch": lambda: Block(lambda self, x: x if self.training else 2 * x - 0.1),
    "same branch on other layers": lambda: Block(
        lambda self, x: self.a(x) if self.training else self.b(x), a=conv(), b=conv()
    ),
    "branch on gradients": lambda: Block(lambda self, x: 2 * x if torch.is_grad_enabled() else x),
    "branch on data": lambda: Block(lambda self, x: -x if x.mean() > 0 else x),
    "number": lambda: Block(lambda self, x: x / (1 + x.abs().max().item())),
    "shape": lambda: Block(lambda self, x: x * (x.shape[-1] / x.size(1))),
    "view": lambda: Block(lambda self, x: x.view(len(x), -1).softmax(1).view(x.shape) * 99),
    "cat": lambda: Block(lambda self, x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "no gradient": lambda: Block(lambda self, x: x + no_gradient(self.conv, x), conv=conv()),
    "detached": lambda: Block(lambda self, x: x + self.conv(x.detach()), conv=conv()),
    "autograd function": lambda: Block(lambda self, x: Rounded.apply(x)),
    "added in place": lambda: Block(lambda self, x: (1 * x).add_(0.1)),
    "scalar": lambda: with_parameter(lambda self, x: x * self.p, torch.tensor(1.5)),
    "frozen scalar": lambda: with_parameter(lambda self, x: x * self.p, torch.tensor(1.5), frozen=True),
    "double": lambda: Block(lambda self, x: self.conv(x.double()).float(), conv=conv(dtype=torch.float64)),
    "tied": tied,
    "two names": lambda: Block(lambda self, x: self.b(torch.tanh(self.a(x))), **dict.fromkeys("ab", conv())),
    "weight norm": lambda: parametrizations.weight_norm(conv()),
    "weight norm of old": lambda: weight_norm(conv()),
    "spectral norm": lambda: parametrizations.spectral_norm(conv()),
    "spectral norm of old": lambda: spectral_norm(conv()),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(SIDE, SIDE)),
    "pruned": lambda: prune.random_unstructured(conv(), "weight", 0.5),
    "parametrized": lambda: changed(conv(), lambda layer: parametrize.register_parametrization(layer, "weight", Odd())),
    "forward hook": lambda: changed(conv(), lambda layer: layer.register_forward_hook(lambda _, __, out: 2 * out)),
    "hook on dropout": lambda: changed(
        nn.Dropout(0.2), lambda d: d.register_forward_hook(lambda _, __, out: out + 0.1)
    ),
    "hook before": lambda: changed(conv(), lambda layer: layer.register_forward_pre_hook(lambda _, x: (2 * x[0],))),
    "hook of gradients": lambda: changed(
        conv(), lambda layer: layer.weight.register_hook(lambda gradient: gradient / 2)
    ),
    "moving average": lambda: with_buffer(averaging, torch.tensor(0.0)),
    "order kept as integers": lambda: with_buffer(lambda self, x: x[:, self.b], torch.tensor([2, 0, 3, 1])),
    "constant": lambda: with_buffer(lambda self, x: x * self.b, torch.linspace(0.5, 1.5, SIDE), persistent=False),
    "counting": lambda: Block(counting),
    "folding": Folding,
}
"""What other networks compute."""

BLOCKS = STACKED | ALONE


def no_gradient(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(x)


class Network(nn.Module):
    """Some blocks between a convolution and a linear layer."""

    def __init__(self, blocks: tuple[str, ...], channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, CHANNELS, 3, padding=1)
        self.blocks = nn.Sequential(*(BLOCKS[name]() for name in blocks))
        self.pool, self.flat = nn.AdaptiveAvgPool2d(2), nn.Flatten()
        self.head = nn.Linear(4 * CHANNELS, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.flat(self.pool(self.blocks(self.stem(images)))))


def drawn_at_random() -> Block:
    return with_buffer(lambda self, x: x * self.b, torch.rand(SIDE), persistent=False)


def cooling(self: Any, x: Tensor) -> Tensor:
    if self.training:
        self.b += 1
    return x / (1 + self.b)


class Returning(nn.Module):
    """A network that returns what a function makes of its logits."""

    def __init__(self, change: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.network, self.change = Network((), 1, 10), change

    def forward(self, images: Tensor) -> Any:
        return self.change(self, self.network(images))


@contextmanager
def registered(build: Callable[..., nn.Module], name: str) -> Iterator[str]:
    """The name of a user's architecture, for the length of a `with` block."""
    ARCHITECTURES.add(name, Architecture(name, build, SIDE, fixed_image_size=False, has_width=False))
    try:
        yield name
    finally:
        del ARCHITECTURES._added[name]
