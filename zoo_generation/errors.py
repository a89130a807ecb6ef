"""Errors in the user's input. Each message is one sentence: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from zoo_generation.text import quoted


class InputError(ValueError):
    """The user's input cannot be used. The command line prints the message and exits with code 2."""


class AccessError(InputError):
    """A method asked for more of the data than it may see in this task."""


def unknown(kind: str, given: str, known: Iterable[str]) -> InputError:
    """An `InputError` for an unknown name, with the nearest known one and all of them.

    >>> print(unknown("fruit", "appel", ["apple", "pear"]))
    unknown fruit 'appel': did you mean 'apple'? known are apple, pear
    """
    names = sorted(known)
    given = quoted(given, 60)
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {kind} '{given}': {hint}known are {', '.join(names)}")
