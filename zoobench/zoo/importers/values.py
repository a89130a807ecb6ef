"""Read single values from files of any origin: numbers, words, and words for missing values."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa

NOTHING = {"", "nan", "none", "null", "nil", "na", "n/a", "#n/a", "<na>", "nat", "-", "--", "?"}
"""Words that tables use for missing values, in lower case."""

WORDS = {True: {"true", "yes", "on", "t", "y", "1", "1.0"}, False: {"false", "no", "off", "f", "n", "0", "0.0"}}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?|nan", re.IGNORECASE)
DIGITS = 400  # of a number in a text, at most: more do not fit a double


class UntakenError(Exception):
    """A value does not fit a column; the message is why, as the end of a clause."""


def value_of(value: Any, kind: pa.DataType) -> Any:
    """A value in the type of a column; None if it stands for nothing. CSV files give everything as text.

    Raises `UntakenError`.
    """
    if isinstance(value, str):
        value = clean(value)
    if value is None or is_nothing(value):
        return None
    if pa.types.is_string(kind):
        if not isinstance(value, str):
            raise UntakenError("is not text")
        return value
    if pa.types.is_boolean(kind):
        return _truth(value)
    found = number(value)
    if pa.types.is_floating(kind):
        return float(found)
    if not math.isfinite(found) or found != int(found):
        raise UntakenError("is not a whole number")
    if not -(2**63) <= found < 2**63:
        raise UntakenError("is beyond 64 bits")
    return int(found)


def number(value: Any) -> int | float:
    """The number in a value or a text; also infinite and NaN. Raises `UntakenError`."""
    if isinstance(value, str):
        value = clean(value)
        if len(value) > DIGITS or not NUMBER.fullmatch(value):
            raise UntakenError("is not a number")
        value = int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UntakenError("is not a number")
    try:
        double = float(value)
    except OverflowError:
        raise UntakenError("is beyond 64 bits") from None
    return double if isinstance(value, Decimal) else value


def is_nothing(value: object) -> bool:
    """Whether a value stands for nothing: None, NaN, an empty text, or one of the words for it."""
    if isinstance(value, str):
        return clean(value).lower() in NOTHING
    return value is None or (isinstance(value, float | Decimal) and value != value)


def clean(text: str) -> str:
    """Without surrounding blanks, and valid as UTF-8."""
    return text.strip().encode("utf-8", "replace").decode()


def _truth(value: Any) -> bool:
    told = clean(value).lower() if isinstance(value, str) else str(value).lower()
    for truth, words in WORDS.items():
        if isinstance(value, str | bool | int | float) and told in words:
            return truth
    raise UntakenError("is neither true nor false")
