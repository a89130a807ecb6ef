"""Recognise the registered architecture of a state dict by the names and shapes of its entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

from zoo_generation.networks.architectures import Architecture, Layout, get_architecture
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.mappings import AVERAGE
from zoobench.zoo.importers.matching import DoubtError, Order, more_layers, orders_by_name, orders_of_modules
from zoobench.zoo.importers.state import State, listed
from zoobench.zoo.sink import Row

Shapes = Sequence[tuple[int, ...]]

FINEST = 1024  # denominator of a width


@dataclass(frozen=True)
class Recognised:
    """An architecture, its arguments, its layout, and the state dict's names in the layout's order."""

    architecture: Architecture
    channels: int
    classes: int
    width: float
    layout: Layout
    order: tuple[str, ...]

    def names(self, state: State) -> dict[str, str]:
        """The state dict's names by ours: those that differ, or all in its order if that differs."""
        ours = dict(zip(self.order, (entry.name for entry in self.layout), strict=True))
        theirs = [name for name in state.tensors if name in ours]
        if state.ordered and list(self.order) != theirs:
            return {ours[name]: name for name in theirs}
        return {our: name for name, our in ours.items() if name != our}

    def left_over(self, state: State) -> str | None:
        """Notes on entries that the architecture does not have."""
        left = sorted(state.tensors.keys() - set(self.order))
        if not left:
            return None
        return f"its entries {listed(left)} are not of {self.architecture.name}; the model came in without them"


def recognise(state: State, known: Row, architectures: Sequence[str]) -> Recognised:
    """The first of the architectures that has these entries; `known` columns of the model are tried first.

    Names decide: if all of an architecture's exist, even behind a prefix such as `module.`, it is that one, preferably
    one without further entries. Otherwise modules are matched in their order, see `matching`. Raises `RejectedError`,
    also in case of doubt.
    """
    named, width = known.get("architecture"), known.get("width")
    tried = [get_architecture(name) for name in sorted(architectures, key=lambda each: each != named)]
    doubts = []
    for ways in (_named_all, _named_some, _in_order):
        for architecture in tried:
            probe = _layout(architecture)
            try:
                orders = ways(architecture, probe, state) if probe else ()
                fits = (found for order in orders if (found := _fitted(architecture, state, order, width)))
                fitting = list(islice(fits, 2))
            except DoubtError as doubt:
                doubts.append(str(doubt))
                continue
            if not fitting:
                continue
            if more := more_layers(fitting[0].order, state):
                doubts.append(f"it has all entries of {architecture.name}, and more of the kind: {listed(more)}")
            elif len(fitting) > 1:
                doubts.append(_several(fitting))
            else:
                return fitting[0]
    if doubts:
        raise RejectedError(doubts[0])
    size = sum(math.prod(shape) for shape in state.shapes.values())
    raise RejectedError(
        f"its {len(state.tensors)} entries with {size:,} parameters are those of no architecture tried "
        f"({', '.join(architectures)}); name theirs with --architecture"
    )


def _named_all(architecture: Architecture, probe: Layout, state: State) -> list[Order]:
    """The order by name if the architecture's entries are all entries."""
    return [order for order in orders_by_name(probe, state) if len(order) == len(state.tensors)]


def _named_some(architecture: Architecture, probe: Layout, state: State) -> list[Order]:
    """Orders by name if there are further entries: preferably of the weights, not of their average."""
    found = orders_by_name(probe, state)
    return [order for order in found if not AVERAGE.search(order[0])] or found


def _in_order(architecture: Architecture, probe: Layout, state: State) -> Iterator[Order]:
    other = _layout(architecture, channels=5, classes=7, width=2.0)
    return orders_of_modules(probe, other or probe, state)


def _several(fitting: Sequence[Recognised]) -> str:
    name, orders = fitting[0].architecture.name, [found.order for found in fitting[:2]]
    one, other = next(pair for pair in zip(*orders, strict=True) if pair[0] != pair[1])
    return (
        f"its entries are those of {name} in more ways than one ({one!r:.80} or {other!r:.80} may be the same entry): "
        "save them under the names that the architecture gives them"
    )


def _fitted(architecture: Architecture, state: State, order: Order, width: float | None) -> Recognised | None:
    shapes = [state.shapes[name] for name in order]
    channels = _solved(architecture, shapes, "channels")
    classes = _solved(architecture, shapes, "classes")
    widths = [1.0] if not architecture.has_width else [width, _width(architecture, shapes)]
    for each in widths:
        layout = _layout(architecture, channels=channels, classes=classes, width=each) if each and each > 0 else None
        if layout and each and [entry.shape for entry in layout] == shapes:
            return Recognised(architecture, channels, classes, each, layout, order)
    return None


def _solved(architecture: Architecture, shapes: Shapes, argument: str) -> int:
    """The number of channels or classes, from the first size that depends on it linearly."""
    low, high = 3, 5
    one, other = _layout(architecture, **{argument: low}), _layout(architecture, **{argument: high})
    for left, right, shape in zip(one or (), other or (), shapes, strict=False):
        for a, b, size in zip(left.shape, right.shape, shape, strict=False):
            if a != b:
                return low + round((size - a) * (high - low) / (b - a))
    return low


def _width(architecture: Architecture, shapes: Shapes) -> float | None:
    """The simplest fraction such that all sizes that scale with the width are rounded multiples of it."""
    low, high = Fraction(0), Fraction(2**16)
    one, other = _layout(architecture), _layout(architecture, width=2.0)
    for left, right, shape in zip(one or (), other or (), shapes, strict=False):
        for a, b, size in zip(left.shape, right.shape, shape, strict=False):
            if a != b:
                high = min(high, Fraction(2 * size + 1, 2 * a))
                if size > 1:  # no layer has fewer channels than 1, however small the width
                    low = max(low, Fraction(2 * size - 1, 2 * a))
    for denominator in range(1, FINEST + 1):
        numerator = max(1, math.ceil(low * denominator))
        if numerator <= high * denominator:
            return numerator / denominator
    return None


def _layout(architecture: Architecture, **arguments: Any) -> Layout | None:
    given = {"channels": 3, "classes": 10} | arguments
    if min(given["channels"], given["classes"]) < 1:
        return None
    try:
        return architecture.layout(**given)
    except Exception:  # whatever a user's function raises on unusual arguments
        return None
