"""Merge what training added to weights that all models were trained from: task vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.merging.layers import matrices_of, regression
from zoobench.methods.merging.members import GroupMerger, Members
from zoobench.methods.sampling import NEXT_SEED


@dataclass(frozen=True)
class TaskArithmetic(GroupMerger):
    """θ₀ + scale · Σᵢ τᵢ, of the task vectors τᵢ = θᵢ - θ₀; a scale of 1 divided by the number of models is the mean.

    Source: Ilharco et al., arXiv 2212.04089.
    """

    scale: float = 0.3

    def combine(self, members: Members, seed: int) -> Tensor:
        return _on_base(members, self.scale * members.vectors.sum(1))


@dataclass(frozen=True)
class Ties(GroupMerger):
    """θ₀ + scale · the mean of the task vectors' largest weights that have the sign of their sum.

    keep: share of each vector's weights that is kept, the largest by size. Source: Yadav et al., arXiv 2306.01708.
    """

    keep: float = 0.2
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_share("keep", self.keep)

    def combine(self, members: Members, seed: int) -> Tensor:
        return _on_base(members, self.scale * agreeing_mean(trimmed(members, self.keep)))


@dataclass(frozen=True)
class Dare(GroupMerger):
    """Each weight of each task vector is dropped by chance, the others are divided by the share that is left.

    Then they are added as in task arithmetic (`then` is `sum`), or merged as in TIES. drop: the share that is dropped.
    Source: Yu et al., arXiv 2311.03099.
    """

    drop: float = 0.9
    scale: float = 0.3
    then: Literal["sum", "ties"] = "sum"

    def __post_init__(self) -> None:
        _check_share("drop", self.drop)

    def combine(self, members: Members, seed: int) -> Tensor:
        drawn = [
            torch.rand(each.shape, generator=torch.Generator().manual_seed(seed + NEXT_SEED * number))
            for number, each in enumerate(members.vectors)
        ]
        left = members.vectors * (torch.stack(drawn) >= self.drop) / (1 - self.drop)
        return _on_base(members, self.scale * (left.sum(1) if self.then == "sum" else agreeing_mean(left)))


class Wudi(GroupMerger):
    """Each layer's task vector τ solves min Σᵢ ‖(τ - τᵢ) τᵢᵀ‖² / ‖τᵢ‖², in closed form and nearest to Σᵢ τᵢ.

    It is RegMean without data: τᵢᵀ τᵢ / ‖τᵢ‖² in place of the inputs' second moments. All but weight matrices is the
    mean. Source: Cheng et al., WUDI-Merging, arXiv 2503.08099, which descends this loss from Σᵢ τᵢ.
    """

    def combine(self, members: Members, seed: int) -> Tensor:
        vectors = members.vectors
        merged, total = vectors.mean(1), vectors.sum(1)
        for layer in matrices_of(members.layout):
            matrices = layer.matrix(vectors)
            norms = matrices.square().sum((-2, -1), keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
            layer.put(merged, regression(matrices @ matrices.mT / norms, matrices, layer.matrix(total)))
        return _on_base(members, merged)


def trimmed(members: Members, keep: float) -> Tensor:
    """The task vectors [groups, size, D] with all but a share of their weights, the largest, set to 0."""
    size = members.vectors.abs().masked_fill(members.statistics, -1.0)  # statistics are not trained: never kept
    count = max(1, round(keep * int((~members.statistics).sum())))
    least = size.topk(count, dim=2).values[..., -1:]
    return torch.where(size >= least, members.vectors, 0.0)


def agreeing_mean(vectors: Tensor) -> Tensor:
    """The mean [groups, D] over the vectors [groups, size, D] of weights with the sign of their sum; 0 for none."""
    agree = vectors.sign() * vectors.sum(1, keepdim=True).sign() > 0
    return torch.where(agree, vectors, 0.0).sum(1) / agree.sum(1).clamp(min=1)


def _on_base(members: Members, vector: Tensor) -> Tensor:
    """The base plus a task vector [groups, D]; BatchNorm's statistics are the members' mean."""
    return torch.where(members.statistics, members.mean, members.start + vector)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1 and not (name == "keep" and value == 1):
        raise InputError(f"the share to {name} was given as {value}; give a number from 0 to 1")
