"""Methods of value, and their controls: which networks each adds to the logits of trained models.

Sources: Lu et al., Transferable post-training via inverse value learning, arXiv 2410.21027; Liu et al., Tuning language
models by proxy, arXiv 2401.08565.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from zoo_generation.errors import InputError
from zoo_generation.networks.program import device_of
from zoobench.methods.protocols import ValueNetworks
from zoobench.methods.unlearned import Unlearned
from zoobench.methods.value.learning import Beside, ValueTraining
from zoobench.populations import Population
from zoobench.populations.logits import logits_of
from zoobench.populations.planes import idle, layout_like


@dataclass(frozen=True)
class ResidualValue(ValueTraining):
    """Learns by cross-entropy through the sum of its logits and the base's, and sees the image alone.

    norm: what the mean absolute logit of the network costs, in nats; start: its weights before training, those of the
    base or fresh ones; several: whether it learns beside all bases, one drawn at each step, and not beside its own.
    """

    norm: float = 0.01
    start: Literal["base", "fresh"] = "base"
    several: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm < 0:
            raise InputError(f"norm is {self.norm:g}; give what the mean absolute logit costs, 0 or more")

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        """See `ValueLearner`."""
        start = bases.weights if self.start == "base" else None
        return ValueNetworks(idle(self.trained(bases, seed, start, self.beside(bases)), bases.row))

    def beside(self, bases: Population, planes: bool = False) -> Beside:
        """The bases' answers to the training images."""
        logits = logits_of(bases, bases.evidence.images("train"), device_of("auto"))
        return Beside(torch.where(logits.isfinite(), logits, 0.0), planes, self.several, self.norm)


@dataclass(frozen=True)
class CascadeValue(ResidualValue):
    """The same, of networks that see the base's probabilities too, as planes beside the image.

    The published Cascade sees the base's answer in the place of the input, as the mean embedding of tokens, and
    Cascade+ beside it. Images have no tokens, so that a plane for each class stands for it: this is Cascade+.
    """

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        start = idle(bases.weights, bases.row) if self.start == "base" else None
        return ValueNetworks(self.trained(bases, seed, start, self.beside(bases, planes=True)))


@dataclass(frozen=True)
class LogitEnsemble(ValueTraining):
    """The base itself, trained on as a whole: its logits are added to another base's, which is their mean."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        return ValueNetworks(idle(self.trained(bases, seed, bases.weights), bases.row))


@dataclass(frozen=True)
class ProxyTuning(LogitEnsemble):
    """The same, and the base's logits as it was are subtracted: what training changed is carried over."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        return ValueNetworks(super().learn(bases, seed).added, bases.weights)


@dataclass(frozen=True)
class ValueAlone(ValueTraining):
    """A network that knows no base: fresh, trained on the images alone, and then added all the same."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        return ValueNetworks(idle(self.trained(bases, seed), bases.row))


@dataclass(frozen=True)
class ZeroValue(Unlearned):
    """Adds nothing: the base alone."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        return ValueNetworks(torch.zeros(len(bases), layout_like(bases.row).size))
