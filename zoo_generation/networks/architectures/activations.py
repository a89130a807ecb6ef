"""The activations of the published zoos (Schürholt et al., Model Zoos, arXiv 2209.14764, section 3)."""

from __future__ import annotations

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}


def known_activation(name: object) -> str | None:
    """The registered activation that a name means, however it is spelled (`ReLU`); None where it means none."""
    return name.lower() if isinstance(name, str) and name.lower() in ACTIVATIONS else None


def activate(activation: str, dropout: float = 0.0) -> nn.Sequential:
    """An activation and the dropout behind it, as one module, so that keys do not depend on dropout."""
    return nn.Sequential(ACTIVATIONS[activation](), nn.Dropout(dropout))
