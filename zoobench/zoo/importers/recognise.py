"""Which registered architecture a state dict is of, told by the names and shapes of its entries."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zoo_generation.architectures import Architecture, Layout, get_architecture
from zoobench.zoo.importers.state import State
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.sink import Row

Shapes = Sequence[tuple[int, ...]]

ORDER = ("weight", "bias", "running_mean", "running_var")  # of a module's entries in a state dict
FINEST = 1024  # denominator of a width


@dataclass(frozen=True)
class Recognised:
    """An architecture, what it was built with, its layout, and the state dict's names in the layout's order."""

    architecture: Architecture
    channels: int
    classes: int
    width: float
    layout: Layout
    order: tuple[str, ...]

    def names(self, state: State) -> dict[str, str]:
        """The state dict's names by ours: those that differ, or all of them in its order where that is another."""
        ours = dict(zip(self.order, (entry.name for entry in self.layout), strict=True))
        if state.ordered and list(self.order) != list(state.tensors):
            return {ours[name]: name for name in state.tensors}
        return {our: name for name, our in ours.items() if name != our}


def recognise(state: State, known: Row, architectures: Sequence[str]) -> Recognised:
    """The first of the architectures that has these entries; `known` columns of the model are tried first.

    Entries are matched by name, be there a prefix such as `module.`, else in order. safetensors files keep none:
    there they are in that of their numbers, if it is only numbers that tell the modules apart. Raises
    `RejectedError`.
    """
    named = known.get("architecture")
    for name in sorted(architectures, key=lambda each: each != named):
        if found := _as(get_architecture(name), state, known.get("width")):
            return found
    size = sum(math.prod(shape) for shape in state.shapes.values())
    raise RejectedError(
        f"its {len(state.tensors)} entries with {size:,} parameters are those of no architecture tried "
        f"({', '.join(architectures)}); name theirs with --architecture"
    )


def _as(architecture: Architecture, state: State, width: float | None) -> Recognised | None:
    probe = _layout(architecture)
    order = _order(state, probe) if probe and len(probe.entries) == len(state.tensors) else None
    if order is None:
        return None
    shapes = [state.shapes[name] for name in order]
    channels = _solved(architecture, shapes, "channels")
    classes = _solved(architecture, shapes, "classes")
    widths = [1.0] if not architecture.has_width else [width, _width(architecture, shapes)]
    for each in widths:
        layout = _layout(architecture, channels=channels, classes=classes, width=each) if each and each > 0 else None
        if layout and each and [entry.shape for entry in layout] == shapes:
            return Recognised(architecture, channels, classes, each, layout, order)
    return None


def _order(state: State, ours: Layout) -> tuple[str, ...] | None:
    """The state dict's names in the order of our entries."""
    names = [entry.name for entry in ours]
    for name in state.tensors:
        if name.endswith(names[0]):
            prefix = name.removesuffix(names[0])
            if {prefix + each for each in names} == state.tensors.keys():
                return tuple(prefix + each for each in names)
    if state.ordered:
        return tuple(state.tensors)
    modules = {re.sub(r"\d+", "#", name.rpartition(".")[0]) for name in state.tensors}
    return tuple(sorted(state.tensors, key=_natural)) if len(modules) == 1 else None


def _natural(name: str) -> tuple[list[int], int, str]:
    module, _, kind = name.rpartition(".")
    return [int(number) for number in re.findall(r"\d+", module)], ORDER.index(kind) if kind in ORDER else 0, kind


def _solved(architecture: Architecture, shapes: Shapes, argument: str) -> int:
    """The number of channels or classes, from the first size that depends on it, and does so linearly."""
    low, high = 3, 5
    one, other = _layout(architecture, **{argument: low}), _layout(architecture, **{argument: high})
    for left, right, shape in zip(one or (), other or (), shapes, strict=False):
        for a, b, size in zip(left.shape, right.shape, shape, strict=False):
            if a != b:
                return low + round((size - a) * (high - low) / (b - a))
    return low


def _width(architecture: Architecture, shapes: Shapes) -> float | None:
    """The simplest fraction of which all sizes that scale with the width are rounded multiples."""
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
    except Exception:  # whatever a user's function raises on arguments that others would not give it
        return None
