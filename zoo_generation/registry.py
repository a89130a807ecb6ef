"""Registries: things by name, those of zoobench and those of installed packages. Each is loaded on first use.

To add a thing to zoobench, write a file and add a line to its room's `registry.py`. To add one from a package of your
own, declare an entry point in the registry's group; its name is the thing's name:

    [project.entry-points."zoobench.datasets"]
    my_digits = "my_package.digits:MY_DIGITS"

A package is imported only when someone asks for one of its things by name.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Generic, TypeVar

from zoo_generation.errors import InputError, unknown

Thing = TypeVar("Thing")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
"""Allowed names: they name folders, and appear in tables and in comma-separated options."""


class Registry(Generic[Thing]):
    """Things of one kind, such as methods, by name.

    kind: what to call one in messages, such as `method`; group: entry points that installed packages declare; ours:
    where zoobench's own things are, as `package.module:attribute`, by name and in the order of listings; check: a type
    that an entry point's object must have; or a function that takes the name and the object and returns the thing, or
    raises `InputError` with the rest of a sentence that begins "the method 'x' of the package y", such as "is not a
    Method".

    >>> words = Registry("word", "zoobench.words", {"pi": "math:pi"}, float)
    >>> words.names(), round(words.get("pi"), 2), "tau" in words
    (('pi',), 3.14, False)
    """

    def __init__(
        self, kind: str, group: str, ours: Mapping[str, str], check: Callable[[str, object], Thing] | type[Thing]
    ) -> None:
        self.kind, self.group = kind, group
        self._ours, self._check = dict(ours), of_type(check) if isinstance(check, type) else check
        self._loaded: dict[str, Thing] = {}
        self._added: dict[str, Thing] = {}
        self._checked: dict[str, tuple[object, Thing]] = {}
        self._looked: dict[str, EntryPoints] = {}

    @property
    def own(self) -> tuple[str, ...]:
        """The names of zoobench's own things."""
        return tuple(self._ours)

    @property
    def added(self) -> tuple[str, ...]:
        """The names that `add` registered in this process."""
        return tuple(self._added)

    def names(self) -> tuple[str, ...]:
        """The names of all things: zoobench's own in their order, then the others, sorted. Imports nothing."""
        theirs = {entry.name for entry in _installed(self.group)} | self._added.keys()
        return (*self._ours, *sorted(theirs - self._ours.keys()))

    def installed(self) -> dict[str, str]:
        """Where the things of installed packages are, as `package.module:attribute`, by name. Imports nothing."""
        return {entry.name: entry.value for entry in _installed(self.group) if entry.name not in self._ours}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._ours or name in self._added or name in self.names())

    def get(self, name: str) -> Thing:
        """The thing of that name. zoobench's own wins over one of a package, which is not used then (with a warning).

        Raises `InputError` with the nearest match if there is none, and if the package's thing cannot be used.
        """
        if name in self._ours:
            self._warn_of_others(name)
            if name not in self._loaded:
                module, _, attribute = self._ours[name].partition(":")
                self._loaded[name] = getattr(importlib.import_module(module), attribute)
            return self._loaded[name]
        if name in self._added:
            return self._added[name]
        if not (entries := tuple(_installed(self.group).select(name=name))):
            raise unknown(self.kind, name, self.names())
        return self._load(name, entries)

    def add(self, name: str, thing: Thing) -> None:
        """Register a thing in this process only, such as a function that the user named by its import path."""
        self._added[name] = thing

    def loaded(self) -> list[Thing]:
        """The things that this process has used so far. Imports nothing."""
        return [*self._loaded.values(), *self._added.values(), *(thing for _, thing in self._checked.values())]

    def described(self) -> list[Description]:
        """What each thing is, in the order of `names`. Imports all packages that have one."""
        return described(self.names(), self.get)

    def _load(self, name: str, entries: tuple[EntryPoint, ...]) -> Thing:
        entry, *others = entries
        if others:
            packages = " and ".join(sorted(_package(each) for each in entries))
            raise InputError(f"{packages} both give a {self.kind} '{name}'; uninstall all but one of these packages")
        where = f"the {self.kind} '{name}' of the package {_package(entry)}"
        if not NAME.fullmatch(name):
            raise InputError(
                f"{where} has a name that cannot name a folder; take letters, digits, '.', '_', '+' and '-', 60 at most"
            )
        try:
            found = entry.load()
        except Exception as error:  # code of others raises anything
            reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            raise InputError(f"{where} cannot be imported ({reason}); repair that package, or uninstall it") from error
        before = self._checked.get(name)
        if before is None or before[0] is not found:
            try:
                self._checked[name] = before = found, self._check(name, found)
            except InputError as error:
                raise InputError(f"{where} ({entry.value}) {error}") from None
        return before[1]

    def _warn_of_others(self, name: str) -> None:
        """Warn, once, if a package gives a thing the name of one of zoobench's own."""
        if self._looked.get(name) is (installed := _installed(self.group)):
            return
        self._looked[name] = installed
        for entry in installed.select(name=name):
            warnings.warn(
                f"the {self.kind} '{name}' of the package {_package(entry)} is not used, since '{name}' is a built-in "
                f"{self.kind}; give it another name",
                stacklevel=3,
            )


def of_type(kind: type[Thing]) -> Callable[[str, object], Thing]:
    """A check that the object of an entry point is of that type."""

    def check(name: str, found: object) -> Thing:
        if not isinstance(found, kind):
            raise InputError(f"is of type {type(found).__name__}, and must be a {kind.__module__}.{kind.__qualname__}")
        return found

    return check


@dataclass(frozen=True)
class Description:
    """One line about a thing: what it is, its paper or other source, what it needs. Unknown parts are empty."""

    name: str
    summary: str
    paper: str = ""
    needs: str = ""


def described(
    names: Iterable[str],
    get: Callable[[str], object],
    needs: Callable[[Any], str] = lambda thing: getattr(thing, "needs", ""),
) -> list[Description]:
    """Describe things by their `summary`, `paper` and `needs`; without a summary, by the first line of their docstring.

    One that cannot be loaded is described by the reason.
    """
    lines = []
    for name in names:
        try:
            thing = get(name)
        except InputError as error:
            lines.append(Description(name, f"cannot be used: {error}"))
            continue
        documented = inspect.getdoc(getattr(thing, "kind", thing)) or ""
        summary = getattr(thing, "summary", "") or documented.split("\n")[0].rstrip(".")
        lines.append(Description(name, summary, getattr(thing, "paper", ""), needs(thing)))
    return lines


def _installed(group: str) -> EntryPoints:
    """The entry points of a group, read again when a folder of `sys.path` has changed."""
    return _read(group, tuple((place, _changed(place)) for place in sys.path))


@lru_cache(maxsize=32)
def _read(group: str, places: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def _changed(place: str) -> int:
    try:
        return os.stat(place).st_mtime_ns  # noqa: PTH116 - asked for often, and a Path takes ten times as long
    except OSError:
        return 0


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module
