"""Models as graphs of units: which weights join which units, and which belong to a unit, in any architecture.

Units are the channels and neurons of a network. Those that its symmetries permute (`symmetry_groups`) are one set
wherever they appear, so a residual stream is one set; inputs, outputs, and everything that no symmetry moves, are sets
whose units have fixed places.

Sources: Kofinas et al., Graph neural networks for learning equivariant representations of neural networks, arXiv
2403.12143, section 3; Lim et al., Graph metanetworks, arXiv 2312.04501, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.architectures.layout import LayoutEntry
from zoo_generation.networks.symmetry import Axis, Group
from zoo_generation.networks.symmetry.groups import of_kind, units_along
from zoo_generation.networks.symmetry.maps import multiply
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of

VECTORS = ("weight", "bias", "running_mean", "running_var")
"""Names of the vectors that a layer may have; a vector of another name counts as a weight."""

SMALLEST_VARIANCE = 1e-8  # so that a running variance has a logarithm

Kind = Literal["matrix", "kernel"]


@dataclass(frozen=True)
class UnitSet:
    """Units that are alike: permuting them leaves the function as it is, unless their places are `fixed`.

    depth: 0 for inputs, one more than the number of weights before those that first write it otherwise.
    """

    size: int
    fixed: bool
    depth: int


@dataclass(frozen=True)
class Edges:
    """The weights of a layer that join each unit of one set with each of another; sets are given by number.

    repeats: consecutive indices per unit along the entry's first two axes, such as the pixels of a flattened map;
    turned: whether the first axis reads units, as in transposed convolutions; depth: number of weights before it.
    """

    entry: LayoutEntry
    source: int
    target: int
    repeats: tuple[int, int]
    turned: bool
    depth: int

    @property
    def kind(self) -> Kind:
        """Of a linear layer or a convolution."""
        return "kernel" if len(self.entry.shape) > 2 else "matrix"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the weights between two units: of a kernel, or of a flattened map's pixels [pixels, 1].

        A kernel with one dimension is a row; with three, its first two are one.
        """
        kernel = self.entry.shape[2:] or (1,)
        return math.prod(self.repeats) * math.prod(kernel[:-1]), kernel[-1]

    def weights(self, flat: Tensor) -> Tensor:
        """[models, targets, sources, rows, columns] of flat weights [models, D], times the root of the fan-in.

        At initialization they are then about 1 in every layer. Large ones are squashed to their logarithms.
        """
        (first, second), shape = self.repeats, self.entry.shape
        parts = flat[:, self.entry.span].reshape(len(flat), shape[0] // first, first, shape[1] // second, second, -1)
        parts = parts.permute(0, 3, 1, 4, 2, 5) if self.turned else parts.permute(0, 1, 3, 2, 4, 5)
        return torch.asinh(parts.reshape(*parts.shape[:3], *self.grid) * self.fan_in**0.5)

    @property
    def fan_in(self) -> int:
        """Weights that each target sums over."""
        return max(1, math.prod(self.entry.shape) // self.entry.shape[1 if self.turned else 0])


@dataclass(frozen=True)
class UnitVectors:
    """The vectors of a layer, such as its bias, with a number for each unit of a set.

    entries: one per name of `VECTORS`, None if the layer has none, with its repeat; fan_in: of the layer's weights.
    """

    units: int
    entries: tuple[tuple[LayoutEntry, int] | None, ...]
    fan_in: int
    depth: int

    def values(self, flat: Tensor) -> Tensor:
        """[models, units, 2 · names] of flat weights [models, D]: the numbers, and 1 for each that there is, else 0.

        Biases are scaled as weights are, and variances are logarithms.
        """
        found = []
        for name, present in zip(VECTORS, self.entries, strict=True):
            if present is None:
                continue
            entry, repeat = present
            values = flat[:, entry.span].unflatten(1, (-1, repeat)).mean(2)
            if name == "running_var":
                values = values.clamp(min=SMALLEST_VARIANCE).log()
            found.append(torch.asinh(values * self.fan_in**0.5 if name == "bias" else values))
        there = [float(present is not None) for present in self.entries]
        columns = iter(found)
        empty = found[0].new_zeros(found[0].shape)
        numbers = [next(columns) if each else empty for each in there]
        return torch.stack([*numbers, *(empty + each for each in there)], dim=2)


@dataclass(frozen=True)
class UnitGraph:
    """All sets of units of a layout, and the weights that join them, in the layout's order."""

    sets: tuple[UnitSet, ...]
    edges: tuple[Edges, ...]
    vectors: tuple[UnitVectors, ...]

    @property
    def size(self) -> int:
        """Number of pairs of units that weights join."""
        return sum(self.sets[each.source].size * self.sets[each.target].size for each in self.edges)

    @property
    def outputs(self) -> list[int]:
        """The sets with fixed places that weights write and none read; all sets if there are none."""
        written, read = {each.target for each in self.edges}, {each.source for each in self.edges}
        found = [number for number in sorted(written - read) if self.sets[number].fixed]
        return found or list(range(len(self.sets)))

    @classmethod
    def of(cls, layout: Layout, groups: Sequence[Group]) -> UnitGraph:
        """From a layout, and the permutations of its units.

        >>> layout = Layout.of_shapes({"0.weight": (5, 2), "0.bias": (5,), "2.weight": (3, 5), "2.bias": (3,)})
        >>> axes = (Axis("0.weight", 0), Axis("0.bias", 0), Axis("2.weight", 1, reads=True))
        >>> [each.size for each in UnitGraph.of(layout, [Group("permutation", 5, axes)]).sets]
        [2, 5, 3]
        """
        return _Builder(layout, of_kind(groups, "permutation")).graph()


class _Builder:
    def __init__(self, layout: Layout, groups: Sequence[Group]) -> None:
        self.layout = layout
        self.axes: dict[tuple[str, int], tuple[int, Axis]] = {
            (axis.entry, axis.dim): (number, axis) for number, group in enumerate(groups) for axis in group.axes
        }
        self.sizes = [group.size for group in groups]
        self.sets: dict[object, int] = {}
        self.found: list[UnitSet] = []

    def graph(self) -> UnitGraph:
        edges: list[Edges] = []
        vectors: list[UnitVectors] = []
        fans: dict[str, int] = {}
        layers: dict[tuple[str, int], dict[str, tuple[LayoutEntry, int]]] = {}
        depths: dict[tuple[str, int], int] = {}
        for entry in self.layout:
            layer, _, name = entry.name.rpartition(".")
            if len(entry.shape) > 1:
                each = self._edges(entry, layer, len(edges))
                edges.append(each)
                fans.setdefault(layer, each.fan_in)
            elif len(entry.shape) == 1:
                units, repeat = self._units(entry, 0, layer, len(edges))
                named = layers.setdefault((layer, units), {})
                named.setdefault(name if name in VECTORS else "weight", (entry, repeat))
                depths.setdefault((layer, units), len(edges))
        for (layer, units), named in layers.items():
            entries = tuple(named.get(name) for name in VECTORS)
            vectors.append(UnitVectors(units, entries, fans.get(layer, 1), depths[layer, units]))
        return UnitGraph(tuple(self.found), tuple(edges), tuple(vectors))

    def _edges(self, entry: LayoutEntry, layer: str, depth: int) -> Edges:
        known = self.axes.get((entry.name, 0)), self.axes.get((entry.name, 1))
        turned = any(found is not None and found[1].reads == (dim == 0) for dim, found in enumerate(known))
        sides: list[tuple[int, int]] = [(0, 1), (0, 1)]
        for reads in (True, False):  # units that are read are there before those that are written
            dim = int(reads != turned)
            sides[dim] = self._units(
                entry, dim, f"{entry.name} reads" if reads else layer, depth if reads else depth + 1
            )
        (first, repeat), (second, other) = sides
        source, target = (first, second) if turned else (second, first)
        return Edges(entry, source, target, (repeat, other), turned, depth)

    def _units(self, entry: LayoutEntry, dim: int, place: str, depth: int) -> tuple[int, int]:
        """The number of the set along an axis, which is made if it is new, and its repeat.

        Units that no symmetry moves are those of their layer: a bias is of the units that its weights write.
        """
        number, axis = self.axes.get((entry.name, dim), (None, None))
        size = entry.shape[dim] if number is None else self.sizes[number]
        key: object = (place, size) if number is None else number
        if key not in self.sets:
            self.sets[key] = len(self.found)
            self.found.append(UnitSet(size, number is None, 0 if place.endswith(" reads") else depth))
        return self.sets[key], 1 if axis is None else axis.repeat


def graph_of(population: Population) -> UnitGraph:
    """The units of a population's models.

    Raises `InapplicableError` for several layers of which no symmetry is known: there is no telling whose units are
    whose.
    """
    groups = of_kind(groups_of(population), "permutation")
    graph = UnitGraph.of(population.layout, groups)
    if not groups and len(graph.edges) > 1:
        raise InapplicableError(
            f"no unit of the networks of {population.name} can be followed through their forward pass, so they are no "
            "graph of units; take a method that reads weights alone, such as layer_statistics"
        )
    return graph


def with_canonical_signs(population: Population) -> Tensor:
    """The weights [models, D] with the sign of each unit that may be flipped chosen such that its bias is positive.

    The functions are the same, and copies of a model with other signs become equal. BatchNorm's weight takes the place
    of a bias that is missing; units without either stay as they are.
    """
    layout, weights = population.layout, population.weights
    flips = of_kind(groups_of(population), "flip")
    if flips:
        weights = weights.clone()
    for group in flips:
        vectors = [axis for axis in group.axes if len(layout[axis.entry].shape) == 1 and not axis.reads]
        if vectors:
            chosen = next((axis for axis in vectors if axis.entry.endswith("bias")), vectors[0])
            values = units_along(weights, layout, chosen).sum((-3, -1))
            signs = torch.where(values < 0, -1.0, 1.0)
            for axis in group.axes:
                multiply(weights, layout, axis, signs)
    return weights
