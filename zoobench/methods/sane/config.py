"""All hyperparameters of SANE."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo_generation.errors import InputError
from zoobench.methods.density import Density
from zoobench.methods.learning.optimizer import OptimizerName, Schedule
from zoobench.methods.sane.loss import Normalization
from zoobench.methods.sane.model import Initialization
from zoobench.methods.sane.positions import Positions


@dataclass(frozen=True)
class SaneConfig:
    """SANE's hyperparameters.

    d_model, heads, layers: of either transformer; latent: numbers per token. token_norm, skip: see `Autoencoder`.
    window: tokens trained on at once; halo: context on either side of a window of a longer model. batch_size: windows
    per step. steps: of the training; in their place epochs: passes over the tokens of the training set; or
    core_seconds: CPU seconds in all threads, on a GPU seconds, from which the number of steps is settled once, by
    measured steps. optimizer, schedule, initialization: see `optimizer` and `model`; learning_rate: the highest of the
    schedule; weight_decay: of AdamW's matrices; clip: largest norm of a step's gradients. gamma: share of the
    contrastive loss, at this temperature. noise: standard deviation of multiplicative noise on the inputs; erase: share
    of windows in which a rectangle is erased. canonical: match the models of a population to one of them, so that units
    have the same meaning; flips: by their signs too, if a network computes the same with them. permutations: number of
    random permutations for the second view, 0 for none; view_flips: with random signs. patience: training ends after
    this many looks at validation windows without a better one, 0 for never; validate_every: steps between these looks.
    density, bandwidth, relative_bandwidth: see `density.draw`.
    """

    d_model: int = 128
    heads: int = 4
    layers: int = 2
    latent: int = 128
    positions: Positions = "sinusoidal"
    token_norm: bool = True
    skip: bool = False
    window: int = 64
    halo: int = 12
    batch_size: int = 16
    steps: int = 1200
    epochs: float | None = None
    core_seconds: float | None = None
    optimizer: OptimizerName = "adamw"
    schedule: Schedule = "onecycle"
    initialization: Initialization = "published"
    learning_rate: float = 2e-3
    weight_decay: float = 3e-9
    clip: float = 1.0
    gamma: float = 0.05
    temperature: float = 0.1
    noise: float = 0.1
    erase: float = 0.0
    normalization: Normalization = "token"
    canonical: bool = True
    flips: bool = True
    permutations: int = 200
    view_flips: bool = False
    validate_every: int = 200
    patience: int = 0
    density: Density = "joint"
    bandwidth: float = 0.1
    relative_bandwidth: bool = True

    def __post_init__(self) -> None:
        if self.window <= 2 * self.halo:
            raise InputError(f"a window of {self.window} tokens has no room for a halo of {self.halo} on either side")
        if self.epochs is not None and self.core_seconds is not None:
            raise InputError("'epochs' and 'core_seconds' are both given; give one of the two, or 'steps'")
        for name, given in (("epochs", self.epochs), ("core_seconds", self.core_seconds)):
            if given is not None and not given > 0:
                raise InputError(f"'{name}' is {given:g}; give a number above 0")


FIRST = SaneConfig()
PRESETS = {
    "tiny": replace(FIRST, steps=400, optimizer="muon", schedule="linear", initialization="scaled"),
    "tiny_v1": FIRST,
    "small": replace(FIRST, d_model=256, layers=4, batch_size=32, steps=4_000, learning_rate=1e-3),
    "base": replace(FIRST, d_model=512, heads=8, layers=6, window=128, batch_size=32, steps=20_000, learning_rate=3e-4),
    "paper": SaneConfig(
        d_model=2048,
        heads=16,
        layers=8,
        positions="learned",
        token_norm=False,
        permutations=5,
        flips=False,
        window=256,
        batch_size=32,
        steps=100_000,
        learning_rate=2e-5,
        density="token",
        bandwidth=0.2,
        relative_bandwidth=False,
    ),
}
"""`tiny` trains in a minute or two on a CPU core; `tiny_v1` is what it was first, and needs eight times as long for the
same loss. `small` trains in an hour or on any GPU, `base` in hours on one; `paper` is the published scale (arXiv
2504.10141, section 4)."""
