"""Methods of other packages, each named by an entry point of the group `zoobench.methods`.

Nothing of a package is imported before its method is asked for by name. See `docs/your-method.md`.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from zoo_generation.errors import InputError
from zoobench.methods.method import Method
from zoobench.methods.protocols import Embedder, Generator, Predictor, Reconstructor

GROUP = "zoobench.methods"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
"""What names folders of runs, and an entry of a leaderboard."""

PARTS = ("fit", "save", "load")
PROTOCOLS = (Embedder, Predictor, Generator, Reconstructor)


def plugin_names() -> set[str]:
    """The names of the methods of installed packages, whether or not they can be imported."""
    return {entry.name for entry in entry_points(group=GROUP)}


def load_plugin(name: str) -> Method:
    """The method of that name of the package that gives one.

    Raises `InputError` where several packages do, where it cannot be imported, and where it is no whole method.
    """
    entry, *others = entry_points(group=GROUP, name=name)
    if others:
        packages = " and ".join(sorted(_package(each) for each in (entry, *others)))
        raise InputError(f"{packages} both give a method '{name}'; uninstall all but one of these packages")
    where = f"the method '{name}' of the package {_package(entry)}"
    try:
        method = entry.load()
    except Exception as error:  # whatever the code of others raises
        reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        raise InputError(f"{where} cannot be imported ({reason}); repair that package, or uninstall it") from error
    _check(method, entry, where)
    return method


@cache
def warn_of_plugins_named(name: str) -> None:
    """Warn, once, where a package gives a method the name of a built-in one, which is taken."""
    for entry in entry_points(group=GROUP, name=name):
        warnings.warn(
            f"the method '{name}' of the package {_package(entry)} is not used, since '{name}' is a built-in method; "
            "give it another name",
            stacklevel=3,
        )


def _check(method: object, entry: EntryPoint, where: str) -> None:
    """Raise `InputError` where that is no method that can be used under the entry point's name."""
    if not isinstance(method, Method):
        raise InputError(
            f"{where} is {entry.value}, of type {type(method).__name__}, and must be a zoobench.methods.Method; let "
            "the entry point name one"
        )
    if method.name != entry.name:
        raise InputError(f"{where} calls itself '{method.name}'; give the entry point and the Method one name")
    if not NAME.fullmatch(method.name):
        raise InputError(
            f"{where} has a name that cannot name a folder; take letters, digits, '.', '_', '+' and '-', 60 at most"
        )
    for part in PARTS:
        if not callable(getattr(method.kind, part, None)):
            raise InputError(f"{where} lacks {part}(); a method has {_list(PARTS, 'and')}, or is an Unlearned")
    if not isinstance(method.kind, PROTOCOLS):
        names = _list([protocol.__name__ for protocol in PROTOCOLS], "or")
        raise InputError(f"{where} can do nothing that is measured; let its class be an {names}")


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module


def _list(names: list[str] | tuple[str, ...], word: str) -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
