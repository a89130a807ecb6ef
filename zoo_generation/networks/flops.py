"""Floating-point operations of a network, counted on tensors without data: two per multiplication and addition.

Convolutions and matrix products count; normalization, activations and pooling, which are few, do not. A backward pass
counts as two forward ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo_generation.networks.architectures import get_architecture

TRAINING = 3.0
"""Forward passes that a training step on an image counts as."""


@lru_cache(maxsize=256)
def forward_flops(architecture: str, channels: int, classes: int, width: float, image_size: int) -> float:
    """Of one image through a model.

    >>> forward_flops("cnn_s", 1, 10, 1.0, 28) == 2 * (25 * 8 * 24**2 + 200 * 6 * 8**2 + 24 * 4 * 9 + 36 * 20 + 20 * 10)
    True
    """
    with torch.device("meta"):
        module = get_architecture(architecture).build(
            channels=channels, classes=classes, activation="relu", dropout=0.0, width=width
        )
        images = torch.empty(1, channels, image_size, image_size)
        return counted(lambda: module.eval()(images))


def counted(compute: Callable[[], object]) -> float:
    """Operations of PyTorch's products and convolutions while something is computed; not of compiled kernels."""
    with FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops())
