"""Distances of generated models to the anchors and to each other, whatever the order and signs of their units.

A distance is the L2 norm of the difference of all learnable weights (not BatchNorm's running statistics) of two
models, one matched to the other (Ainsworth et al., Git Re-Basin, arXiv 2209.04836), in units of the anchors' mean
norm. So a copy of an anchor has distance 0 to it, even if its units are permuted or flipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry import Group, learnable_distance, match_closest


def to_anchors(weights: Tensor, anchors: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """Distance [models] of each of the models [models, D] to the nearest of the anchors [anchors, D]."""
    each = [_distances(weights, anchor, layout, groups) for anchor in anchors]
    return torch.stack(each).amin(0) / _mean_norm(anchors, layout)


def to_others(weights: Tensor, anchors: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """Mean distance [models] of each of the models [models, D] to the others; NaN if there are no others."""
    models = len(weights)
    total = torch.zeros(models, dtype=torch.float64)
    for model in range(models - 1):  # each pair once
        apart = _distances(weights[model + 1 :], weights[model], layout, groups)
        total[model] += apart.sum()
        total[model + 1 :] += apart
    return total / (models - 1) / _mean_norm(anchors, layout)


def _distances(weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    return learnable_distance(match_closest(weights, reference, layout, groups), reference, layout)


def _mean_norm(anchors: Tensor, layout: Layout) -> Tensor:
    return learnable_distance(anchors, torch.zeros_like(anchors[0]), layout).mean()
