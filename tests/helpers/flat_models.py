"""Models as flat weights, and what they compute: for tests of symmetries."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zoo_generation.networks.architectures import Layout, get_architecture

WIDE = ("mlp", "small_cnn", "resnet10", "resnet18")
"""Networks that are wide at width 1."""


def narrow(name: str) -> float:
    """A width at which a network is quick to train."""
    return 0.0625 if name in WIDE else 0.5


def build(name: str, activation: str, channels: int = 3, width: float | None = None) -> nn.Module:
    width = 2 * narrow(name) if width is None else width
    return get_architecture(name).build(channels=channels, classes=10, activation=activation, dropout=0.5, width=width)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64, with weights and BatchNorm statistics that no layer shares by chance and no tanh saturates."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.double().state_dict().items():
            if value.is_floating_point():
                normal = torch.randn(value.shape, generator=generator, dtype=value.dtype)
                fan_in = max(1, value[0].numel()) if value.dim() > 1 else 4
                value.copy_(normal.abs() + 0.5 if "running_var" in name else normal / fan_in**0.5)
    return module.eval()


def flat(module: nn.Module) -> tuple[Layout, Tensor]:
    state = module.state_dict()
    layout = Layout.of(state)
    return layout, torch.cat([state[entry.name].flatten() for entry in layout])


def outputs(module: nn.Module, layout: Layout, weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    images = torch.randn(3, *shape, dtype=weights.dtype, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return functional_call(module, layout.unflatten(weights), (images,), tie_weights=False)
