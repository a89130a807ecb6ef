"""Weight matching from two starts: closer than from one, and exact for copies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry.groups import Group, of_kind
from zoo_generation.networks.symmetry.matching import match_weights


def match_closest(weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """The models [models, D] with their units permuted and flipped to be close to the reference; same functions.

    reference: [D], or one for each model [models, D]. Each is the closer end of two coordinate descents
    (`match_weights`): from where the model is; and from where each layer's units, one layer after the other, are
    matched by the weights that write them alone. From the second, copies of the reference are found again, which the
    first may miss.
    """
    starts = (weights, _by_layer(weights, reference, layout, groups))
    ends = torch.stack([match_weights(start, reference, layout, groups) for start in starts])
    closer = learnable_distance(ends, reference, layout).argmin(0)
    return ends[closer, torch.arange(len(weights))]


def learnable_distance(weights: Tensor, reference: Tensor, layout: Layout) -> Tensor:
    """L2 distance [...] of models [..., D] to others, without BatchNorm's running statistics."""
    places = torch.ones(layout.size, dtype=torch.bool)
    for entry in layout:
        if "running_" in entry.name:
            places[entry.span] = False
    return (weights - reference)[..., places].double().norm(dim=-1)


def _by_layer(weights: Tensor, reference: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """The models [models, D] with one group of units after the other matched by the weights that write it."""
    flips = of_kind(groups, "flip")
    for group in of_kind(groups, "permutation"):
        written = torch.zeros_like(reference)
        for axis in group.axes:
            if not axis.reads:
                span = layout[axis.entry].span
                written[..., span] = reference[..., span]
        weights = match_weights(weights, written, layout, [group, *filter(group.contains, flips)])
    return weights
