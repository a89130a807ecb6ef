"""Attribution by how far a step of training on an image moves the margin of another, at one or several checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoobench.methods.attribution.bank import MeanOfMembers, Member
from zoobench.methods.attribution.similarity import cosines


@dataclass(frozen=True)
class GradientProducts(MeanOfMembers):
    """Products of the gradient of the asked image's margin and minus that of the training image's loss.

    path: the sum over all of a model's checkpoints, and not the last one alone, as Pruthi et al., arXiv 2002.08484,
    section 3, with the margin in place of the test loss; the rates, which are equal, are left out. cosine: of unit
    vectors, since large gradients drown others (Hammoudeh & Lowd, arXiv 2201.10055, section 4).
    """

    path: bool = False
    cosine: bool = False

    def scores(self, member: Member) -> Tensor:
        places = range(len(member.path)) if self.path else [-1]
        return torch.stack([self._products(member, place) for place in places]).sum(0)

    def _products(self, member: Member, place: int) -> Tensor:
        asked, train = member.by_asked(place), member.by_train(place)
        return -cosines(asked, train) if self.cosine else -(asked @ train.T)
