"""Streams of units through a network: which tensors hold the same units, and which entries write and read them."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo_generation.networks.symmetry.groups import Axis, Group, Kind


@dataclass(eq=False)
class Stream:
    """Units that are transformed together in every tensor that holds them; joined streams share one root."""

    size: int
    frozen: bool = False
    axes: list[Axis] = field(default_factory=list)
    joined: Stream | None = None

    def root(self) -> Stream:
        return self if self.joined is None else self.joined.root()


@dataclass(frozen=True)
class Units:
    """The units that a tensor holds: along dimension `dim`, each unit is `repeat` consecutive indices.

    Symmetries do not change a tensor without units (None in place of units).
    """

    stream: Stream
    dim: int
    repeat: int = 1


@dataclass(frozen=True)
class Streams:
    """The streams that symmetries of one kind act on, in forward order."""

    kind: Kind
    streams: list[Stream] = field(default_factory=list)

    def new(self, size: int, dim: int, axes: list[Axis]) -> Units:
        """Units of a new stream, which the entries of `axes` write."""
        self.streams.append(Stream(size, axes=axes))
        return Units(self.streams[-1], dim)

    def groups(self, movable: set[str]) -> list[Group]:
        """The groups of free streams; a stream is not free if an entry outside `movable` writes or reads it."""
        return [
            Group(self.kind, stream.size, tuple(stream.axes))
            for stream in self.streams
            if stream.joined is None and not stream.frozen and all(axis.entry in movable for axis in stream.axes)
        ]


def add_axes(units: Units, *axes: Axis) -> None:
    """The entries of `axes` write or read the units."""
    units.stream.root().axes += axes


def freeze(*tensors: Units | None) -> None:
    """The units of these tensors stay as they are."""
    for units in tensors:
        if units is not None:
            units.stream.root().frozen = True


def join(one: Units | None, other: Units | None) -> Units | None:
    """Units of a sum, or another elementwise combination, of two tensors with as many dimensions."""
    if one is None or other is None or (one.dim, one.repeat) != (other.dim, other.repeat):
        freeze(one, other)
        return None
    first, second = one.stream.root(), other.stream.root()
    if first.size != second.size:
        freeze(one, other)
        return None
    if first is not second:
        first.axes += second.axes
        first.frozen |= second.frozen
        second.joined = first
    return one
