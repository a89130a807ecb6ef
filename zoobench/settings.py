"""Dataclasses of settings, with values of a user's in place of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoo_generation.errors import InputError, unknown
from zoo_generation.text import as_given

Settings = TypeVar("Settings")

LARGEST = 2**31 - 1  # that a number among settings may be


def changed(settings: Settings, values: Mapping[str, Any], what: str) -> Settings:
    """The settings with `values`, text or numbers, in place of their own.

    Raises `InputError` for a name that they do not have, of `what` kind, and for a value that they cannot take.
    """
    if not values:
        return settings
    fields = [field.name for field in dataclasses.fields(settings)] if dataclasses.is_dataclass(settings) else []
    for name in values:
        if name not in fields:
            raise unknown(what, name, fields)
    own = {name: getattr(settings, name) for name in fields}
    try:
        result = _adapter(type(settings)).validate_python(own | dict(values))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        where = f"the {what} {name} cannot be {as_given(first['input'])}: " if name else ""
        raise InputError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None
    for name in values:
        if not _is_finite(getattr(result, name)):
            raise InputError(f"the {what} {name} cannot be {as_given(values[name])}: numbers go to ±{LARGEST:,}")
    return result


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a setting are of a size that can be computed with."""
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, int | float) or -LARGEST <= value <= LARGEST  # which infinity and NaN are not


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Validates settings of a kind; takes a while to make."""
    return TypeAdapter(kind)
