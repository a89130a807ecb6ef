"""Attribution by influence functions, computed exactly for small networks, and by SOURCE along the way of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.gradients import gauss_newton
from zoobench.methods.attribution.bank import MeanOfMembers, Member
from zoobench.methods.protocols import InapplicableError


@dataclass(frozen=True)
class ExactInfluence(MeanOfMembers):
    """−∇f(z)ᵀ(G + λI)⁻¹∇L(i) / n: how the optimum moves if an image counts more (Koh & Liang, arXiv 1703.04730).

    G is the Gauss-Newton matrix of the mean loss over the n images that the model saw, all of it, as Bae et al., arXiv
    2209.05364, section 3; nothing is approximated but the model's being at an optimum. damping: λ, as a share of the
    mean of G's diagonal.
    """

    damping: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.damping > 0:
            raise InputError(f"influence was given a damping of {self.damping:g}; take more than 0")

    def scores(self, member: Member) -> Tensor:
        # in double precision, as the matrix is: solving makes rounding larger
        by_asked, by_train = member.by_asked(double=True), member.by_train(double=True)
        return damped_products(by_asked, curvature(member), by_train, self.damping) / _images(member)


def damped_products(asked: Tensor, matrix: Tensor, train: Tensor, damping: float) -> Tensor:
    """−a(G + λI)⁻¹b for each row a of asked [asked, P] and b of train [images, P]: float64 [asked, images].

    matrix: G, symmetric and positive semi-definite, [P, P]; damping: λ, as a share of the mean of its diagonal.
    """
    damped = matrix.double() + damping * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=torch.float64)
    factor = torch.linalg.cholesky(damped)
    return -torch.cholesky_solve(asked.double().T, factor).T @ train.double().T


def curvature(member: Member, place: int = -1) -> Tensor:
    """The Gauss-Newton matrix of the mean loss over the images that the model saw, at a checkpoint: float64 [P, P]."""
    seen = Images(member.train.images[member.seen], member.train.labels[member.seen])
    return gauss_newton(member.path.weights[place][None], member.path.layout, member.module(), seen)[0]


@dataclass(frozen=True)
class UnrolledInfluence(MeanOfMembers):
    """SOURCE: influence unrolled along training, which is cut into segments of constant gradients and curvature.

    Of segment l with mean Gauss-Newton matrix H, mean gradients g, K steps at a rate η:
    −∇f(z)ᵀ (∏ of later segments of exp(−ηKH)) (I − exp(−ηKH)) H⁻¹ g / n, and the sum over segments. segments: how many;
    the checkpoints are shared evenly among them. The rate is that of plain gradient descent: what Adam makes of it is
    left out. Source: Bae et al., Training Data Attribution via Approximate Unrolled Differentiation, arXiv 2405.12186,
    equation 12.
    """

    members: int = 2
    segments: int = 3

    def scores(self, member: Member) -> Tensor:
        """Raises `InapplicableError` if the model has fewer checkpoints than segments, or its training is unknown."""
        row, epochs = member.path.table.iloc[0], member.path.table["epoch"].to_numpy()
        if len(epochs) < self.segments or row[["learning_rate", "batch_size"]].isna().any():
            raise InapplicableError(
                f"SOURCE needs {self.segments} checkpoints of each model, and to know its learning rate and batch "
                "size; keep more checkpoint_epochs, or take fewer segments"
            )
        places = np.array_split(np.arange(len(epochs)), self.segments)
        ends = [0, *(int(epochs[each[-1]]) for each in places)]
        steps = -(-_images(member) // int(row["batch_size"]))
        times = [float(row["learning_rate"]) * steps * (end - start) for start, end in pairwise(ends)]
        matrices = [torch.stack([curvature(member, at) for at in each.tolist()]).mean(0) for each in places]
        gradients = [torch.stack([member.by_train(at, double=True) for at in each.tolist()]).mean(0) for each in places]
        return unrolled_products(member.by_asked(double=True), matrices, gradients, times) / _images(member)


def unrolled_products(
    asked: Tensor, matrices: Sequence[Tensor], gradients: Sequence[Tensor], times: Sequence[float]
) -> Tensor:
    """The sum of SOURCE's formula over segments, the first one first, times n: float64 [asked, images].

    asked: [asked, P]; matrices: H of each segment, [P, P]; gradients: g, [images, P]; times: ηK.
    """
    left, total = asked.double(), torch.zeros(())
    for matrix, by_train, time in reversed(list(zip(matrices, gradients, times, strict=True))):
        values, vectors = torch.linalg.eigh(matrix.double())
        values = values.clamp(min=0)
        within = torch.where(values * time > 1e-8, -torch.expm1(-time * values) / values.clamp(min=1e-300), time)
        rotated = left @ vectors
        total = total - (rotated * within) @ (by_train.double() @ vectors).T
        left = (rotated * torch.exp(-time * values)) @ vectors.T
    return total


def _images(member: Member) -> int:
    """How many images the model saw."""
    return int(member.seen.sum())
