"""What numbers a configuration may have: each check says in one sentence what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo_generation.errors import InputError


def check_at_least(config: object, least: float, *names: str) -> None:
    """Raises `InputError` if one of these settings is smaller."""
    _check(config, names, lambda given: given >= least, f"{least:g} or more")


def check_within(config: object, least: float, most: float, *names: str) -> None:
    """Raises `InputError` if one of these settings is smaller or larger."""
    _check(config, names, lambda given: least <= given <= most, f"{least:g} to {most:g}")


def check_positive(config: object, *names: str) -> None:
    """Raises `InputError` unless these settings are above 0."""
    _check(config, names, lambda given: given > 0, "a number above 0")


def check_below_one(config: object, *names: str) -> None:
    """Raises `InputError` unless these settings are in [0, 1), such as shares and times."""
    _check(config, names, lambda given: 0 <= given < 1, "0 or more, and less than 1")


def _check(config: object, names: Sequence[str], allowed: Callable[[float], bool], words: str) -> None:
    for name in names:
        if not allowed(given := getattr(config, name)):  # nor is what is not a number
            raise InputError(f"'{name}' is {given:g}; take {words}")
