"""Every hyperparameter of SANE."""

from __future__ import annotations

from dataclasses import dataclass

from zoobench.methods.sane.density import Density
from zoobench.methods.sane.loss import Normalization


@dataclass(frozen=True)
class SaneConfig:
    """SANE's hyperparameters; `layers` is the number on either side, `halo` the context of a window's tokens."""

    d_model: int = 128
    heads: int = 4
    layers: int = 2
    latent: int = 128
    token_norm: bool = True
    window: int = 64
    halo: int = 12
    batch_size: int = 16
    steps: int = 800
    learning_rate: float = 2e-3
    weight_decay: float = 3e-9
    gamma: float = 0.1
    temperature: float = 0.1
    noise: float = 0.1
    normalization: Normalization = "token"
    canonical: bool = True
    permutations: int = 200
    density: Density = "joint"
    bandwidth: float = 0.2
    relative_bandwidth: bool = True


PRESETS = {
    "tiny": SaneConfig(),
    "paper": SaneConfig(
        d_model=2048,
        heads=16,
        layers=8,
        token_norm=False,
        permutations=5,
        gamma=0.05,
        window=256,
        batch_size=32,
        steps=100_000,
        learning_rate=2e-5,
        density="token",
        relative_bandwidth=False,
    ),
}
"""`tiny` trains in minutes on two CPU cores; `paper` is the published scale (arXiv 2504.10141, section 4)."""
