"""Large weights as linear functions of small ones: along axes of units, and from layer to layer.

Source: Wang et al., Learning to Grow Pretrained Models (LiGO), arXiv 2303.00980, section 3: growth of width and depth
is W'_l = Σ_j w_lj B_j W_j A_jᵀ, of which Net2Net, stacking and others are special cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo_generation.networks.symmetry import Axis
from zoobench.methods.growth.enlargement import Enlargement, Layers, State

Mixing = Mapping[str, Tensor]
"""For entries of layers, by container and suffix, the shares [models, large layers, wide layers] of each layer of the
wide network in each of the large one."""


def widened(state: State, plan: Enlargement, writes: Sequence[Tensor], reads: Sequence[Tensor]) -> State:
    """Weights of the wide network of those of the small one: units along each axis through a matrix.

    writes, reads: for each growing group the matrices [models, units after, units before] for entries that write its
    units, and for those that read them.
    """
    grown = dict(state)
    for number, group in enumerate(plan.groups):
        for axis in group.axes:
            grown[axis.entry] = _along(grown[axis.entry], axis, (reads if axis.reads else writes)[number])
    return grown


def deepened(state: State, layers: Sequence[Layers], mixing: Mixing) -> State:
    """Weights of the large network of those of the wide one: each layer is a sum of layers of its container.

    layers: of one shape each. Entries elsewhere stay as they are.
    """
    grown = dict(state)
    for each in layers:
        for suffix in each.suffixes:
            stacked = torch.stack([state[each.name(number, suffix)] for number in each.wide], dim=1)
            mixed = (mixing[each.container + suffix].to(stacked) @ stacked.flatten(2)).unflatten(2, stacked.shape[2:])
            grown |= {each.name(number, suffix): mixed[:, place] for place, number in enumerate(each.large)}
    return grown


def chosen(layers: Sequence[Layers], sources: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The mixing [1, large, wide] that takes each layer from another one: for each container the places of these."""
    mixing: dict[str, Tensor] = {}
    for each, places in zip(layers, sources, strict=True):
        shares = torch.eye(len(each.wide))[list(places)][None]
        mixing |= {each.container + suffix: shares for suffix in each.suffixes}
    return mixing


def stacking(layers: Sequence[Layers]) -> list[list[int]]:
    """Which layer each of the large network's is a copy of, by `chosen`: all in order, then all again."""
    return [[place % len(each.wide) for place in range(len(each.large))] for each in layers]


def interleaving(layers: Sequence[Layers]) -> list[list[int]]:
    """The same, each layer beside its copies."""
    return [[place * len(each.wide) // len(each.large) for place in range(len(each.large))] for each in layers]


def _along(value: Tensor, axis: Axis, matrix: Tensor) -> Tensor:
    """An entry [models, *shape] whose units along the axis went through a matrix [models, after, before]."""
    units = value.unflatten(1 + axis.dim, (-1, axis.repeat)).movedim(1 + axis.dim, 1)
    grown = (matrix.to(value.dtype) @ units.flatten(2)).unflatten(2, units.shape[2:])
    return grown.movedim(1, 1 + axis.dim).flatten(1 + axis.dim, 2 + axis.dim)
