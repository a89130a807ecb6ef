"""Weight matching: the permutation that brings a model closest to a reference.

Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836, section 3.2 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.architectures import Layout
from zoobench.symmetry.groups import Axis, PermutationGroup
from zoobench.symmetry.permute import permutation_index

ROUNDS = 50  # at most; coordinate descent ends after a handful


def match_weights(
    weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[PermutationGroup], seed: int = 0
) -> Tensor:
    """The models [models, D] with their hidden units permuted to match the reference [D] best; same functions.

    Coordinate descent: a group at a time, in random order, the assignment of units that maximises the inner
    product with the reference given all other groups, until no assignment changes. The similarities of all models
    are computed at once. BatchNorm's running statistics move along and do not count.
    """
    from scipy.optimize import linear_sum_assignment

    generator = torch.Generator().manual_seed(seed)
    current = weights.clone()
    for _ in range(ROUNDS):
        changed = False
        for g in torch.randperm(len(groups), generator=generator).tolist():
            similarity = _similarity(current, reference, layout, groups[g])
            best = torch.stack(
                [torch.from_numpy(linear_sum_assignment(each, maximize=True)[1]) for each in similarity.numpy()]
            )
            gain = similarity.gather(2, best[:, :, None]).sum((1, 2)) - similarity.diagonal(dim1=1, dim2=2).sum(1)
            better = gain > 1e-6 * similarity.abs().amax((1, 2))
            for model in better.nonzero().flatten().tolist():
                permutation = best[model]
                current[model] = current[model, permutation_index(layout, [groups[g]], [permutation])]
            changed |= bool(better.any())
        if not changed:
            break
    return current


def _similarity(weights: Tensor, reference: Tensor, layout: Layout, group: PermutationGroup) -> Tensor:
    """Inner products [models, size, size] of the reference's units with each model's, over all that a unit owns."""
    total = torch.zeros(len(weights), group.size, group.size, dtype=torch.float64)
    for axis in group.axes:
        if "running_" in axis.entry:
            continue
        span = layout[axis.entry].span
        theirs = _units(reference[None, span], layout, axis, group.size)
        ours = _units(weights[:, span], layout, axis, group.size)
        total += (theirs @ ours.mT).double()
    return total


def _units(values: Tensor, layout: Layout, axis: Axis, size: int) -> Tensor:
    """An entry's values [models, numel] by unit: [models, size, rest]."""
    shaped = values.reshape(len(values), *layout[axis.entry].shape)
    return shaped.movedim(axis.dim + 1, 1).reshape(len(values), size, -1)
