"""Bad input, told in one sentence: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input cannot be used. The message is one sentence; the CLI prints it and exits 2."""


def shown(value: object, most: int = 60) -> str:
    """What a user gave, as printable characters on one line, cut where it is long: for sentences about it."""
    try:
        text = value if isinstance(value, str) else str(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 1]}…"


def as_given(value: object) -> str:
    """What a user gave, as `shown`, and in quotes where it is text."""
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def unknown(kind: str, given: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not registered, with the nearest match and the whole list."""
    names = sorted(known)
    given = shown(given)
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {kind} '{given}': {hint}known are {', '.join(names)}")
