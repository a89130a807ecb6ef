"""Groups of units, on which the symmetries of a network act.

A unit is one feature of a hidden tensor: a channel, or a neuron. Three exact symmetries act on units:

- *permutation*: units change places, with everything that writes and reads them; - *flip*: a unit changes its sign, if
everything between its writers and its readers is odd (tanh, average pooling); - *scale*: a unit is multiplied by a
positive factor, if everything between is positively homogeneous (relu, max-pooling).

Sources: Hecht-Nielsen, On the algebraic structure of feedforward network weight spaces, 1990 (permutations and flips);
Neyshabur et al., Path-SGD, arXiv 1506.02617 (scales).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from zoo_generation.networks.architectures import Layout

Kind = Literal["permutation", "flip", "scale"]


@dataclass(frozen=True)
class Axis:
    """An axis of a state-dict entry along which a group's units lie; each unit is `repeat` consecutive indices of it.

    Entries that read the units (`reads`) are divided by a factor, entries that write them are multiplied by it.
    """

    entry: str
    dim: int
    repeat: int = 1
    reads: bool = False


@dataclass(frozen=True)
class Group:
    """Units that a symmetry of one kind transforms together wherever they appear."""

    kind: Kind
    size: int
    axes: tuple[Axis, ...]

    def contains(self, other: Group) -> bool:
        """Whether every axis of the other group is one of this group's: the same units, or some tensors of them."""
        mine = {(axis.entry, axis.dim) for axis in self.axes}
        return self.size == other.size and all((axis.entry, axis.dim) in mine for axis in other.axes)


def of_kind(groups: Iterable[Group], kind: Kind) -> list[Group]:
    """The groups of one kind, in their order."""
    return [group for group in groups if group.kind == kind]


def units_along(flat: Tensor, layout: Layout, axis: Axis) -> Tensor:
    """The slices along an axis of flat vectors [..., D], as a view [..., outer, size, inner] with one row per unit."""
    entry = layout[axis.entry]
    outer, inner = math.prod(entry.shape[: axis.dim]), math.prod(entry.shape[axis.dim + 1 :])
    return flat[..., entry.span].unflatten(-1, (outer, entry.shape[axis.dim] // axis.repeat, inner * axis.repeat))
