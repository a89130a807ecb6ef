"""Match the entries of a state dict to those of an architecture: by name, or else module by module, in order.

Order is evidence only if it is that of layers: an alphabetical order puts biases before weights and the tenth layer
before the second. Within a module the last part of a name decides, never order or shape.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from zoo_generation.networks.architectures import Layout
from zoobench.zoo.importers.state import State

Order = tuple[str, ...]
"""A state dict's names in the order of a layout's entries."""
Modules = list[list[str]]
"""Names of entries, module by module."""
Sizes = Mapping[str, tuple[int | None, ...]]
"""Shapes by name; None if a size depends on channels, classes or width."""

ENTRIES = ("weight", "bias", "running_mean", "running_var")  # of a module
SPELLINGS = {
    "gamma": "weight",
    "beta": "bias",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "moving_var": "running_var",
}
PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original([01])$")
COUNTERS = ("total_ops", "total_params")  # of a profiler
STEPS = 10_000  # of a search for orders


class DoubtError(Exception):
    """Entries may be an architecture's, but their matching is not certain; the message says why, as a clause."""


def orders_by_name(ours: Layout, state: State) -> list[Order]:
    """An order for each prefix under which all names of a layout exist."""
    names = [entry.name for entry in ours]
    prefixes = (name.removesuffix(names[0]) for name in state.tensors if name.endswith(names[0]))
    orders = (tuple(prefix + name for name in names) for prefix in prefixes if not prefix or prefix.endswith("."))
    return [order for order in orders if state.tensors.keys() >= set(order)]


def more_layers(order: Order, state: State) -> list[str]:
    """Further entries that belong to the order's layers or to layers like them: then the network is larger."""
    patterns = {_pattern(_module(name)) for name in order}
    left = state.tensors.keys() - set(order)
    return sorted(name for name in left if _last(name) in ENTRIES and _pattern(_module(name)) in patterns)


def orders_of_modules(ours: Layout, other: Layout, state: State) -> Iterator[Order]:
    """Orders in which the modules of a state dict are those of a layout; sizes that differ in `other` are free.

    The state dict's order is taken if it is evidence and does not contradict names. Otherwise modules that differ only
    in numbers are in the order of these, and shapes and names place the others between them; there may be several
    orders. Raises `DoubtError` if names allow none.
    """
    names = [name for name in state.tensors if _last(name) not in COUNTERS]
    if len(names) != len(ours.entries) or len(other.entries) != len(ours.entries):
        return
    sizes: Sizes = {
        one.name: tuple(a if a == b else None for a, b in zip(one.shape, two.shape, strict=False))
        for one, two in zip(ours, other, strict=True)
    }
    modules, shapes, misnamed = _modules(sizes), state.shapes, None
    for groups in _groupings(names, state.ordered):
        found = False
        for chosen in _merged(modules, groups, sizes, shapes):
            if why := _misnamed(modules, chosen):
                misnamed = why
                continue
            found = True
            pairs: dict[str, str] = {}
            for module, theirs in zip(modules, chosen, strict=True):
                pairs |= _pairs(module, theirs, sizes, shapes) or {}
            yield tuple(pairs[name] for name in sizes)
        if found:
            return
    if misnamed:
        raise DoubtError(misnamed)


def _groupings(names: Sequence[str], ordered: bool) -> Iterator[list[Modules]]:
    """Modules in one group if their order is evidence; else one group for all that only numbers distinguish."""
    modules = _modules(names)
    groups = defaultdict(list)
    for module in modules:
        groups[_pattern(_module(module[0]))].append(module)
    numbered = {pattern: sorted(group, key=_numbers) for pattern, group in groups.items()}
    alphabetical = list(names) == sorted(names) or modules == sorted(modules, key=lambda module: _module(module[0]))
    if ordered and not alphabetical:  # alphabetical puts biases before weights, and the tenth layer before the second
        if numbered != groups:
            raise DoubtError(
                "its layers are neither in the order of their numbers nor in alphabetical order: save them under the "
                "names that the architecture gives them"
            )
        yield [modules]
    yield list(numbered.values())


def _merged(ours: Modules, groups: Sequence[Modules], sizes: Sizes, shapes: Sizes) -> Iterator[Modules]:
    """All ways to take modules from the fronts of the groups so that each matches ours at its place."""
    waiting: list[tuple[tuple[int, ...], Modules]] = [((0,) * len(groups), [])]
    for _ in range(STEPS):
        if not waiting:
            return
        taken, chosen = waiting.pop()
        if len(chosen) == len(ours):
            yield chosen
            continue
        for number, group in enumerate(groups):
            place = taken[number]
            if place < len(group) and _pairs(ours[len(chosen)], group[place], sizes, shapes) is not None:
                waiting.append(((*taken[:number], place + 1, *taken[number + 1 :]), [*chosen, group[place]]))
    raise DoubtError("its layers may be put in too many orders: save them under the names that the architecture has")


def _pairs(ours: Sequence[str], theirs: Sequence[str], sizes: Sizes, shapes: Sizes) -> dict[str, str] | None:
    """The entries of one of their modules by ours: by the last part of their names, or else by their number of
    dimensions, if that distinguishes them; None if the module is another."""
    keys: tuple[Callable[[str, Sequence[object]], object], ...] = (
        lambda name, shape: _last(name),
        lambda name, shape: len(shape),
    )
    for key in keys:
        one = {key(name, sizes[name]): name for name in ours}
        other = {key(name, shapes[name]): name for name in theirs}
        if one.keys() == other.keys() and len(one) == len(ours) == len(theirs):
            pairs = {our: other[each] for each, our in one.items()}
            return pairs if all(_fits(sizes[our], shapes[their]) for our, their in pairs.items()) else None
    return None


def _fits(size: tuple[int | None, ...], shape: tuple[int | None, ...]) -> bool:
    return len(size) == len(shape) and all(a is None or a == b for a, b in zip(size, shape, strict=True))


def _misnamed(ours: Modules, theirs: Modules) -> str | None:
    """Why not: a module has the name of another of ours."""
    pairs = [tuple(_pattern(_last(_module(each[0]))) for each in pair) for pair in zip(ours, theirs, strict=True)]
    known, given = {one for one, _ in pairs}, {other for _, other in pairs}
    for one, other in pairs:
        if one != other and one in given and other in known:
            return f"its layers {other!r:.60} would be {one!r:.60} by their order, and others are called so"
    return None


def _modules(names: Iterable[str]) -> Modules:
    modules = defaultdict(list)
    for name in names:
        modules[_module(name)].append(name)
    return list(modules.values())


def _module(name: str) -> str:
    return _plain(name).rpartition(".")[0]


def _last(name: str) -> str:
    last = _plain(name).rpartition(".")[2]
    return SPELLINGS.get(last, last)


def _plain(name: str) -> str:
    """The name as older versions of PyTorch have it: for a weight's norm, which is its own parameter in newer ones."""
    return PARAMETRIZED.sub(lambda found: f"{found[1]}_{'gv'[int(found[2])]}", name)


def _pattern(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)


def _numbers(module: Sequence[str]) -> list[tuple[int, str]]:
    """The numbers in a module's name, in order of their value; as texts, because they may have thousands of digits."""
    digits = (number.lstrip("0") for number in re.findall(r"[0-9]+", _module(module[0])))
    return [(len(number), number) for number in digits]
