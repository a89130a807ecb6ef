"""Show text: names that others chose, made harmless, and numbers as on every page and in every table.

Zoos, results and entries of others may have any names. Everything that shows such a name passes it through here first,
so that it cannot control a terminal, break a line, or be markup on a page.
"""

from __future__ import annotations

import math
import re

MARKDOWN_SIGNS = re.compile(r"[\\`*_{}\[\]<>|#~$&!@]|(?<=http):|(?<=https):|(?<=www)\.", re.IGNORECASE)
"""What may begin markup, HTML, a link or a mention anywhere in a line."""

NOT_A_NUMBER = "–"


def printable(text: str) -> str:
    """A text with characters escaped that cannot be printed, or that turn the direction of text, as Python does.

    >>> printable("two\\nlines")
    'two\\\\nlines'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shown(value: object, most: int = 300) -> str:
    """The first line of a value as printable text, cut if it is longer than `most` characters."""
    return _cut(printable(_text(value).strip().split("\n")[0][: most + 1]), most)


def quoted(value: object, most: int = 80) -> str:
    """A text of a user or a file, printable and on one line, cut if it is longer than `most` characters.

    >>> quoted("a" * 100, 5)
    'aaaa…'
    """
    return _cut(printable(_text(value)[: most + 1]), most)


def as_given(value: object) -> str:
    """What a user gave, as `quoted`, and in quotes if it is text.

    >>> as_given("soon"), as_given(3)
    ("'soon'", '3')
    """
    return f"'{quoted(value, 60)}'" if isinstance(value, str) else quoted(value, 60)


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an integer that is too long to be written out
        return "a number of thousands of digits"


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"


def visible(value: object) -> str:
    """A value as `printable` text whose lines stay lines."""
    return "\n".join(printable(line) for line in str(value).split("\n"))


def inert_markdown(value: object) -> str:
    """A value on one line whose signs GitHub's Markdown shows, and does not read as markup."""
    return MARKDOWN_SIGNS.sub(r"\\\g<0>", printable(" ".join(str(value).split())))


def number(value: float) -> str:
    """Three decimals, with a minus sign that is as wide as a plus.

    >>> number(-0.5), number(float("nan"))
    ('−0.500', '–')
    """
    return NOT_A_NUMBER if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def score(mean: float, std: float) -> str:
    """`mean ± std`, or what there is of it.

    >>> score(0.5, 0.01)
    '0.500 ± 0.010'
    """
    return number(mean) if math.isnan(mean) or math.isnan(std) else f"{number(mean)} ± {number(std)}"


def percent(share: float | None, sign: str = "") -> str:
    """A share in [0, 1] as `93.12%`, or a dash if there is none; sign: `+` for one before positive ones too."""
    return "–" if share is None else f"{share:{sign}.2%}"


def duration(seconds: float) -> str:
    """A time as words.

    >>> duration(3725)
    '1 h 02 min'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def fact(value: str | float | None) -> str:
    """What is known of something as a cell of a table: text, a whole number, two decimals, yes or no, or a dash.

    >>> fact("weights"), fact(1234), fact(1234.5), fact(True), fact(None)
    ('weights', '1,234', '1,234.50', 'yes', '–')
    """
    if value is None or isinstance(value, str):
        return NOT_A_NUMBER if value is None else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def interval(low: float, high: float) -> str:
    """`[low, high]`, or nothing if a bound is unknown."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{number(low)}, {number(high)}]"


def words(name: str) -> str:
    """The name of a task or metric as words.

    >>> words("property_prediction")
    'property prediction'
    """
    return name.replace("_", " ")
