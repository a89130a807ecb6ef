"""A canonical scale of units under positively homogeneous activations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry.groups import Group, of_kind, units_along
from zoo_generation.networks.symmetry.maps import multiply

ROUNDS = 100  # at most; each removes a constant share of the remaining difference
TOLERANCE = 1e-5  # of a factor; float32 gives no more


def balance_scales(weights: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """The models [models, D] with each unit's incoming and outgoing weights of equal norm; same functions.

    Of all scalings of a model, this is the only one of the smallest norm; found by coordinate descent, one group at a
    time. Units that nothing writes, or nothing reads, stay as they are.
    """
    balanced = weights.clone()
    scalable = of_kind(groups, "scale")
    for _ in range(ROUNDS):
        largest = 0.0
        for group in scalable:
            incoming, outgoing = (_squares(balanced, layout, group, reads) for reads in (False, True))
            factor = (outgoing / incoming) ** 0.25
            factor = torch.where((incoming > 0) & (outgoing > 0) & factor.isfinite(), factor, 1.0).to(weights.dtype)
            for axis in group.axes:
                multiply(balanced, layout, axis, factor)
            largest = max(largest, float((factor - 1).abs().max()) if factor.numel() else 0.0)
        if largest < TOLERANCE:
            break
    return balanced


def _squares(flat: Tensor, layout: Layout, group: Group, reads: bool) -> Tensor:
    """Sum of squares [models, size] of the entries that write the units, or of those that read them."""
    total = flat.new_zeros(len(flat), group.size, dtype=torch.float64)
    for axis in group.axes:
        if axis.reads == reads:
            total += units_along(flat, layout, axis).square().sum((-3, -1), dtype=torch.float64)
    return total
