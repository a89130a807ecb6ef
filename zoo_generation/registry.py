"""Things by name: those of zoobench, loaded when they are first asked for, and those of installed packages.

To add one here is a file and a line in its room's `registry.py`. To add one from a package of one's own is an entry
point, of the group that the registry names, whose name is the thing's:

    [project.entry-points."zoobench.datasets"]
    my_digits = "my_package.digits:MY_DIGITS"

Nothing of a package is imported before one of its things is asked for by name.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from zoo_generation.errors import InputError, unknown

Thing = TypeVar("Thing")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
"""What the name of a thing may be: it names folders, and stands in tables."""


class Registry(Generic[Thing]):
    """Things of one kind, such as methods, by name.

    kind: what one is called, in the singular; group: of the entry points of installed packages; ours: where each of
    zoobench's own is, as `package.module:attribute`, by name and in the order in which they are listed; check: returns
    what an entry point names, or raises `InputError` with what is wrong with it, as in 'is not a Method'.
    """

    def __init__(self, kind: str, group: str, ours: Mapping[str, str], check: Callable[[str, object], Thing]) -> None:
        self.kind, self.group = kind, group
        self._ours, self._check = dict(ours), check
        self._loaded: dict[str, Thing] = {}
        self._added: dict[str, Thing] = {}
        self._warned: set[str] = set()

    @property
    def own(self) -> tuple[str, ...]:
        """The names of zoobench's own things."""
        return tuple(self._ours)

    def names(self) -> tuple[str, ...]:
        """The names of all things: zoobench's own, then those of installed packages, sorted."""
        theirs = {entry.name for entry in entry_points(group=self.group)} | self._added.keys()
        return (*self._ours, *sorted(theirs - self._ours.keys()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._added or name in self.names()

    def get(self, name: str) -> Thing:
        """The thing of that name: zoobench's own, whatever else is installed, or else that of a package.

        Raises `InputError`, naming the nearest match, if there is none, and if that of a package cannot be used.
        """
        if name in self._ours:
            self._warn_of_others(name)
            if name not in self._loaded:
                module, _, attribute = self._ours[name].partition(":")
                self._loaded[name] = getattr(importlib.import_module(module), attribute)
            return self._loaded[name]
        if name in self._added:
            return self._added[name]
        if not (entries := tuple(entry_points(group=self.group, name=name))):
            raise unknown(self.kind, name, self.names())
        if name not in self._loaded:
            self._loaded[name] = self._load(name, entries)
        return self._loaded[name]

    def add(self, name: str, thing: Thing) -> None:
        """Register a thing for this process alone, such as a user's function that was named by its import path."""
        self._added[name] = thing

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
        except Exception as error:  # whatever the code of others raises
            reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            raise InputError(f"{where} cannot be imported ({reason}); repair that package, or uninstall it") from error
        try:
            return self._check(name, found)
        except InputError as error:
            raise InputError(f"{where} {error}") from None

    def _warn_of_others(self, name: str) -> None:
        """Warn, once, if a package gives a thing the name of one of zoobench's own."""
        if name in self._warned:
            return
        self._warned.add(name)
        for entry in entry_points(group=self.group, name=name):
            warnings.warn(
                f"the {self.kind} '{name}' of the package {_package(entry)} is not used, since '{name}' is built in; "
                "give it another name",
                stacklevel=3,
            )


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module
