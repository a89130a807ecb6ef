"""LiGO: a linear operator that makes new units and layers of sums of others, learned on the loss.

Source: Wang et al., Learning to Grow Pretrained Models for Efficient Transformer Training, arXiv 2303.00980, sections
3.2 to 3.4, and what the authors' code does where it says more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoobench.methods.descent import Parameters
from zoobench.methods.growth.enlargement import Enlargement, Layers, State
from zoobench.methods.growth.learned import LearnedGrowth
from zoobench.methods.growth.linear import Mixing, chosen, deepened, stacking, widened

SPREAD = 0.03  # of the shares of layers around stacking, at the start


@dataclass(frozen=True)
class Ligo(LearnedGrowth):
    """Each group of units has a matrix B, of which the first rows are the unit matrix and the rest is learned: entries
    that write the units go through it, and so do those that read them (A of a reader is B of its writer), norms and
    biases. Each kind of entry has learned shares of the small network's layers in each large one.

    As published: ties, what stays the unit matrix, rows that sum to 1 at the start, shares that begin with stacking,
    frozen small weights. Not as published: Adam with a learning rate chosen for small networks (the released
    command hardly moves the operator, by a warm-up of 10,000 steps), convolutions (a matrix for each side, the same for
    all places of the kernel), BatchNorm's statistics taken anew.
    """

    def start(self, plan: Enlargement, seed: int) -> dict[str, Tensor]:
        generator, models = torch.Generator().manual_seed(seed), len(plan.small)
        rows = {
            f"units {number}": drawn_rows(models, size - group.size, group.size, generator)
            for number, (group, size) in enumerate(zip(plan.groups, plan.sizes, strict=True))
        }
        layers = plan.alike("ligo")
        return rows | {f"layers {name}": value for name, value in drawn_shares(models, layers, generator).items()}

    def built(self, plan: Enlargement, parameters: Parameters) -> State:
        matrices = [with_unit(parameters[f"units {number}"]) for number in range(len(plan.groups))]
        layers = plan.alike("ligo")
        mixing = {name: parameters[f"layers {name}"] for name in chosen(layers, stacking(layers))}
        return linear_growth(plan, matrices, matrices, layers, mixing)


def linear_growth(
    plan: Enlargement, writes: Sequence[Tensor], reads: Sequence[Tensor], layers: Sequence[Layers], mixing: Mixing
) -> State:
    """Large weights: all units through matrices, as in `widened`, and layers mixed, as in `deepened`."""
    return deepened(widened(plan.state, plan, writes, reads), layers, mixing)


def drawn_rows(models: int, new: int, old: int, generator: torch.Generator) -> Tensor:
    """Rows [models, new, old] of random positive numbers that sum to 1."""
    rows = torch.rand(models, new, old, generator=generator)
    return rows / rows.sum(2, keepdim=True)


def drawn_shares(models: int, layers: Sequence[Layers], generator: torch.Generator) -> dict[str, Tensor]:
    """Shares of layers near stacking, by container and suffix: rows that sum to 1."""
    shares = {}
    for name, stacked in chosen(layers, stacking(layers)).items():
        near = stacked + SPREAD * torch.rand(models, *stacked.shape[1:], generator=generator)
        shares[name] = near / near.sum(2, keepdim=True)
    return shares


def with_unit(rows: Tensor) -> Tensor:
    """The unit matrix above rows [models, new, old]."""
    unit = torch.eye(rows.shape[2], dtype=rows.dtype, device=rows.device)
    return torch.cat([unit.expand(len(rows), -1, -1), rows], dim=1)
