"""Symmetries as maps on flat weights: applying any to a model is one gather and one multiplication.

A map is an index [..., D] (int64) and a factor [..., D] (float32); `weights[..., index] * factor` is the same function.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry.groups import Axis, Group, of_kind, units_along


def symmetry_map(layout: Layout, groups: Sequence[Group], actions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Index and factor [..., D] of the groups' actions [..., size], one after another.

    A permutation's action gives the old unit for each new one; a flip's and a scale's gives the factor of each unit.
    """
    batch = torch.broadcast_shapes(*(action.shape[:-1] for action in actions))
    index = torch.arange(layout.size).expand(*batch, -1).clone()
    factor = torch.ones(layout.size).expand(*batch, -1).clone()
    for group, action in zip(groups, actions, strict=True):
        action = action.expand(*batch, group.size)
        for axis in group.axes:
            if group.kind == "permutation":
                permute(index, layout, axis, action)
                permute(factor, layout, axis, action)
            else:
                multiply(factor, layout, axis, action)
    return index, factor


def permutation_index(layout: Layout, groups: Sequence[Group], permutations: Sequence[Tensor]) -> Tensor:
    """The index [..., D] of permutations [..., size] of groups that can be permuted; its factor is one."""
    return symmetry_map(layout, groups, permutations)[0]


def random_permutations(layout: Layout, groups: Sequence[Group], count: int, generator: torch.Generator) -> Tensor:
    """Indices [count, D] of permutations drawn uniformly, for the groups that can be permuted."""
    return random_symmetries(layout, of_kind(groups, "permutation"), count, generator)[0]


def random_symmetries(
    layout: Layout,
    groups: Sequence[Group],
    count: int,
    generator: torch.Generator,
    flips: bool = True,
    scales: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Indices and factors [count, D] of symmetries drawn at random: views of a model for training.

    Permutations and, with `flips`, signs are uniform; the logarithms of scales are normal with deviation `scales`.
    """
    drawn = [
        group for group in groups if group.kind == "permutation" or (flips if group.kind == "flip" else scales > 0)
    ]
    actions = []
    for group in drawn:
        shape = (count, group.size)
        if group.kind == "permutation":
            actions.append(torch.rand(shape, generator=generator).argsort(1))
        elif group.kind == "flip":
            actions.append(torch.randint(2, shape, generator=generator) * 2.0 - 1)
        else:
            actions.append((scales * torch.randn(shape, generator=generator)).exp())
    index, factor = symmetry_map(layout, drawn, actions)
    return index.expand(count, -1), factor.expand(count, -1)


def permute(flat: Tensor, layout: Layout, axis: Axis, permutation: Tensor) -> None:
    """Permute, in place, the slices along an axis in flat vectors [..., D]; `permutation` [..., size]."""
    units = units_along(flat, layout, axis)
    units.copy_(units.gather(-2, permutation[..., None, :, None].expand_as(units)))


def multiply(flat: Tensor, layout: Layout, axis: Axis, factor: Tensor) -> None:
    """Multiply (divide, if the axis reads), in place, the slices along it in [..., D] by `factor` [..., size]."""
    units_along(flat, layout, axis).mul_((factor.reciprocal() if axis.reads else factor)[..., None, :, None])
