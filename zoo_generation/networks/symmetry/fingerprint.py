"""Fingerprints of models, which do not depend on the order, signs and scales of their units.

A fingerprint holds, for each tensor of weights, the norms of its rows and of its columns, each sorted, and for each
vector the sorted absolute values. It does not depend on where a unit is or on its sign; the scales of units are
balanced before. Sorted numbers are never further apart than in any other order, so the distance of two fingerprints is
at most √2 times that of the two models after the best matching of their units: a model that is close to another cannot
hide it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry.groups import Group
from zoo_generation.networks.symmetry.scaling import balance_scales


def fingerprint(weights: Tensor, layout: Layout, groups: Sequence[Group]) -> Tensor:
    """Fingerprints [models, F], float64, of weights [models, D]; groups: the symmetries of their architecture.

    BatchNorm's running statistics, which depend on images, are left out.
    """
    balanced = balance_scales(weights, layout, groups).double()
    parts = [balanced.new_zeros(len(weights), 0)]
    for entry in layout:
        values = balanced[:, entry.span]
        if "running_" in entry.name:
            continue
        if len(entry.shape) > 1:
            squares = values.unflatten(1, (*entry.shape[:2], -1)).square().sum(3)
            parts += [squares.sum(dim).sqrt().sort(1).values for dim in (2, 1)]
        else:
            parts.append(values.abs().sort(1).values)
    return torch.cat(parts, dim=1)
