"""Attribution by what images look like, to people or to a model, and by chance: floors for all others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.networks.capture import capture
from zoobench.methods.attribution.bank import Bank, MeanOfMembers, Member
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.target import classifier_of


@dataclass(frozen=True)
class RandomScores(Unlearned):
    """Normal scores: what chance gives."""

    seed: int = 0

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`."""
        images = len(models.evidence.labelled("train").labels)
        return torch.randn(len(asked.labels), images, generator=torch.Generator().manual_seed(self.seed))


@dataclass(frozen=True)
class SameClass(Unlearned):
    """1 for images of the asked image's class, 0 for others: what a method knows if it finds the class alone."""

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`."""
        return (asked.labels[:, None] == models.evidence.labelled("train").labels).float()


@dataclass(frozen=True)
class PixelSimilarity(Unlearned):
    """Cosines of normalised images."""

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`."""
        bank = Bank.of(models, asked)
        return cosines(bank.asked.images.flatten(1), bank.train.images.flatten(1))


@dataclass(frozen=True)
class PenultimateSimilarity(MeanOfMembers):
    """Cosines of the inputs of the last linear layer."""

    def scores(self, member: Member) -> Tensor:
        asked, train = (_last_inputs(member, images) for images in (member.asked, member.train))
        return cosines(asked, train)


def cosines(asked: Tensor, train: Tensor) -> Tensor:
    """The cosine of each of the vectors [asked, n] with each of the vectors [images, n]: [asked, images]."""
    return F.normalize(asked, dim=1) @ F.normalize(train, dim=1).T


def _last_inputs(member: Member, images: Images) -> Tensor:
    """[images, inputs]"""
    module = member.module()
    name = classifier_of(module)
    parts = capture(member.path.weights[-1:], member.path.layout, module, images.images, [name])
    return torch.cat([part[name][0] for part in parts], dim=1).T
