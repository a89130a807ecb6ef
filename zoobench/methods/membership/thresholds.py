"""Membership from a model alone: what it answers to an image, and how its loss would change its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.gradients import per_example
from zoo_generation.networks.module import runnable_module
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.logits import logits_of, probabilities_of


@dataclass(frozen=True)
class RandomMembership(Unlearned):
    """Normal scores: what chance gives."""

    seed: int = 0

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """See `MembershipReader`."""
        images = len(asked.evidence.labelled("train").labels)
        return torch.randn(len(asked), images, generator=torch.Generator().manual_seed(self.seed))


@dataclass(frozen=True)
class LossThreshold(Unlearned):
    """The margin of an image's label, in whose order losses fall: models are surer of what they saw.

    Source: Yeom et al., arXiv 1709.01604, section 3.2.
    """

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """See `MembershipReader`."""
        images = asked.evidence.labelled("train")
        return margins(logits_of(asked, images.images).double(), images.labels).float()


@dataclass(frozen=True)
class ConfidenceThreshold(Unlearned):
    """The highest probability that a model gives an image, whichever class it is of.

    Source: Salem et al., arXiv 1806.01246, section 5.
    """

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """See `MembershipReader`."""
        return probabilities_of(asked, asked.evidence.labelled("train").images).amax(2)


@dataclass(frozen=True)
class GradientNorm(Unlearned):
    """Minus the norm of the gradient of an image's loss by all parameters: what was seen pulls no more.

    Source: Nasr, Shokri & Houmansadr, arXiv 1812.00910, section 3, there as an input of a learned attack.
    """

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """See `MembershipReader`."""
        module, images = runnable_module(asked.table.iloc[0]), asked.evidence.labelled("train")
        norms = per_example(asked.weights, asked.layout, module, images, "loss", _norm)
        return -norms[:, :, 0]


def _norm(gradients: Tensor) -> Tensor:
    """[images, 1] of [images, P]"""
    return gradients.norm(dim=1, keepdim=True)
