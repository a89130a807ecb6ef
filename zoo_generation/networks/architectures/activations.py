"""Activations as layers of a network."""

from __future__ import annotations

from torch import nn

from zoo_generation.networks.registry import ACTIVATIONS


def activate(activation: str, dropout: float = 0.0) -> nn.Sequential:
    """An activation and the dropout behind it, as one module, so that keys do not depend on dropout."""
    return nn.Sequential(ACTIVATIONS.get(activation)(), nn.Dropout(dropout))
