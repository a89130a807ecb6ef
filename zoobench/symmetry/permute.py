"""Permutations of hidden units as index maps on flat weights: permuting a model is one gather."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.architectures import Layout
from zoobench.symmetry.groups import PermutationGroup


def permutation_index(layout: Layout, groups: Sequence[PermutationGroup], permutations: Sequence[Tensor]) -> Tensor:
    """The index map [D] such that `weights[..., index]` is the network with its units permuted.

    `permutations[g]` [size] says which old unit each new one of group g is.
    """
    index = torch.arange(layout.size)
    for group, permutation in zip(groups, permutations, strict=True):
        for axis in group.axes:
            entry = layout[axis.entry]
            block = index[entry.span].reshape(entry.shape)
            index[entry.span] = block.index_select(axis.dim, _expanded(permutation, axis.repeat)).flatten()
    return index


def random_permutations(
    layout: Layout, groups: Sequence[PermutationGroup], count: int, generator: torch.Generator
) -> Tensor:
    """Index maps [count, D] of permutations drawn uniformly; none changes the function of a network."""
    return torch.stack(
        [
            permutation_index(layout, groups, [torch.randperm(group.size, generator=generator) for group in groups])
            for _ in range(count)
        ]
    )


def _expanded(permutation: Tensor, repeat: int) -> Tensor:
    return (permutation[:, None] * repeat + torch.arange(repeat)).flatten()
