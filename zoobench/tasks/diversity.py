"""How far generated models are from the anchors, and from each other, whatever the order and signs of their units.

A distance is the L2 norm of the difference of all learnable weights (BatchNorm's running statistics are none) of two
models, one matched to the other (Ainsworth et al., Git Re-Basin, arXiv 2209.04836), in units of the anchors' mean norm.
So a copy of an anchor is at distance 0 of it, also where its units are permuted or flipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.architectures import Layout
from zoobench.symmetry import Group, match_weights
from zoobench.symmetry.groups import of_kind


def to_anchors(weights: Tensor, anchors: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """Distance [models] of each of the models [models, D] to the nearest of the anchors [anchors, D]."""
    each = [distances(weights, anchor, layout, groups) for anchor in anchors]
    return torch.stack(each).amin(0) / mean_norm(anchors, layout)


def to_others(weights: Tensor, anchors: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """Mean distance [models] of each of the models [models, D] to the others; not a number where there are none."""
    models = len(weights)
    total = torch.zeros(models, dtype=torch.float64)
    for model in range(models - 1):  # each pair once
        apart = distances(weights[model + 1 :], weights[model], layout, groups)
        total[model] += apart.sum()
        total[model + 1 :] += apart
    return total / (models - 1) / mean_norm(anchors, layout)


def distances(weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """L2 distance [models] of models [models, D] to a reference [D] that they are matched to, float64.

    The nearer end of two coordinate descents: from the models as they are, and from where each layer's units are
    matched by what writes them alone, which finds a copy again that the first may miss.
    """
    learnable = learnable_places(layout)
    starts = (weights, _by_layer(weights, reference, layout, groups))
    ends = [match_weights(start, reference, layout, groups) for start in starts]
    return torch.stack([(end - reference)[:, learnable].double().norm(dim=1) for end in ends]).amin(0)


def _by_layer(weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """The models [models, D], one group of units after the other matched by the weights that write these."""
    flips = of_kind(groups, "flip")
    for group in of_kind(groups, "permutation"):
        written = torch.zeros_like(reference)
        for axis in group.axes:
            if not axis.reads:
                span = layout[axis.entry].span
                written[span] = reference[span]
        weights = match_weights(weights, written, layout, [group, *filter(group.contains, flips)])
    return weights


def mean_norm(anchors: Tensor, layout: Layout) -> Tensor:
    """Mean L2 norm of the anchors [anchors, D], over their learnable weights."""
    return anchors[:, learnable_places(layout)].double().norm(dim=1).mean()


def learnable_places(layout: Layout) -> Tensor:
    """[D] bool, false for BatchNorm's running statistics."""
    places = torch.ones(layout.size, dtype=torch.bool)
    for entry in layout:
        if "running_" in entry.name:
            places[entry.span] = False
    return places
