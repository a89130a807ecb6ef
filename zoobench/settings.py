"""Dataclasses of settings, with values of a user's in place of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoo_generation.errors import InputError, unknown

Settings = TypeVar("Settings")


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
        return _adapter(type(settings)).validate_python(own | dict(values))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = f"the {what} {'.'.join(map(str, first['loc']))} cannot be {first['input']!r}: " if first["loc"] else ""
        raise InputError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Validates settings of a kind; takes a while to make."""
    return TypeAdapter(kind)
