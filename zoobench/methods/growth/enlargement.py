"""A small network beside the large one that it is grown into: which units, and which layers, become more.

Units are found from the module graph: the groups of units of the small network and of the same one with more units pair
up one to one, and their axes say which entries write and which read them. Layers are the numbered children of a
container, such as the blocks of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.symmetry import Group, permutation_groups
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.target import Target

State = dict[str, Tensor]
"""Weights by name, of several models: [models, *shape]."""


@dataclass(frozen=True)
class Layers:
    """The layers, or blocks, of a container in the wide and in the large network.

    container: the beginning of their entries' names; wide, large: their numbers there, ascending; suffixes: by number,
    the shapes of a layer's entries in the large network by the rest of their names.
    """

    container: str
    wide: tuple[int, ...]
    large: tuple[int, ...]
    entries: dict[int, dict[str, tuple[int, ...]]]

    @property
    def grow(self) -> bool:
        """Whether the large network has more of them."""
        return self.wide != self.large

    @property
    def are_alike(self) -> bool:
        """Whether all have the same entries, of the same shapes."""
        return all(each == self.entries[self.large[0]] for each in self.entries.values())

    @property
    def suffixes(self) -> list[str]:
        """The rest of the names of a layer's entries, if all are alike."""
        return list(self.entries[self.large[0]])

    def name(self, number: int, suffix: str) -> str:
        """The name of an entry."""
        return f"{self.container}{number}.{suffix}"


@dataclass(frozen=True, eq=False)
class Enlargement:
    """Small models, and what they are grown into: first more units, then more layers.

    wide: the small network with as many units as the large one; groups: the small network's units that become more;
    sizes: how many they become.
    """

    small: Population
    wide: Target
    large: Target
    groups: tuple[Group, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, small: Population, large: Target) -> Enlargement:
        """Raises `InapplicableError` unless the large network has the small one's layers with as many units or more,
        and maybe further layers."""
        wide = Target.enlarged(small, None, float(large.row["width"]))
        row = small.row
        shape = (int(row["channels"]), int(row["image_size"]), int(row["image_size"]))
        before, after = (permutation_groups(runnable_module(each), shape) for each in (row, wide.row))
        if [group.axes for group in before] != [group.axes for group in after]:
            raise InapplicableError(f"the units of {small.name} and {wide.name} do not correspond to one another")
        pairs = [(one, other.size) for one, other in zip(before, after, strict=True) if one.size != other.size]
        _check(small.layout, wide.layout, pairs, large)
        return cls(small, wide, large, tuple(one for one, _ in pairs), tuple(size for _, size in pairs))

    @property
    def widens(self) -> bool:
        """Whether there are more units."""
        return bool(self.groups)

    @property
    def deepens(self) -> bool:
        """Whether there are more layers."""
        return self.wide.layout != self.large.layout

    @cached_property
    def state(self) -> State:
        """The small models' weights."""
        return self.small.layout.unflatten(self.small.weights)

    @cached_property
    def layers(self) -> tuple[Layers, ...]:
        """The layers of each container of the large network."""
        return layers_of(self.wide.layout, self.large.layout)

    def alike(self, method: str) -> list[Layers]:
        """The layers that become more. Raises `InapplicableError` if they are not alike in the large network."""
        growing = [each for each in self.layers if each.grow]
        if odd := [each.container for each in growing if not each.are_alike]:
            raise InapplicableError(
                f"{method} makes new layers of others of their shape, and the layers '{odd[0]}*' of "
                f"{self.large.row['architecture']} are of several shapes"
            )
        return growing


def layers_of(wide: Layout, large: Layout) -> tuple[Layers, ...]:
    """The numbered layers of each container of a large network, and which of them another network has."""
    found: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for entry in large:
        parts = entry.name.split(".")
        place = next((place for place, part in enumerate(parts) if part.isdigit()), None)
        if place is not None:
            container = "".join(f"{part}." for part in parts[:place])
            layer = found.setdefault(container, {}).setdefault(int(parts[place]), {})
            layer[".".join(parts[place + 1 :])] = entry.shape
    return tuple(
        Layers(
            container,
            tuple(
                number
                for number in sorted(layers)
                if all(f"{container}{number}.{suffix}" in wide for suffix in layers[number])
            ),
            tuple(sorted(layers)),
            layers,
        )
        for container, layers in found.items()
    )


def _check(small: Layout, wide: Layout, pairs: Sequence[tuple[Group, int]], large: Target) -> None:
    """Raise `InapplicableError` unless entries grow along axes of growing units alone, and the large network has all
    entries of the wide one."""
    grown = {name: list(shape) for name, shape in small.shapes.items()}
    for group, size in pairs:
        for axis in group.axes:
            grown[axis.entry][axis.dim] = size * axis.repeat
        if size < group.size:
            raise InapplicableError(f"{large.name} has fewer units than the small models; grow into a larger network")
    name = large.row["architecture"]
    if strange := [entry.name for entry in wide if grown.get(entry.name) != list(entry.shape)]:
        raise InapplicableError(f"'{strange[0]}' becomes larger, but which units of '{name}' it holds cannot be traced")
    shapes = large.layout.shapes
    if missing := [entry.name for entry in wide if shapes.get(entry.name) != entry.shape]:
        raise InapplicableError(f"'{name}' has no '{missing[0]}' of the small models' shape, so they cannot become one")
