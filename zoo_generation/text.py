"""Text of strangers, made fit to be shown: nothing in it steers a terminal, breaks a line, or is markup on a page.

Zoos, results and entries that others made name things as they like. Whatever shows such a name shows it through these.
"""

from __future__ import annotations

import re

MARKDOWN_SIGNS = re.compile(r"[\\`*_{}\[\]<>|#~$&!@]|(?<=http):|(?<=https):|(?<=www)\.", re.IGNORECASE)
"""What may begin markup, HTML, a link or a mention anywhere in a line."""


def printable(text: str) -> str:
    """A text on one line, in which characters that cannot be printed are escaped, as Python does; among them those
    that turn it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shown(value: object, most: int = 300) -> str:
    """The first line of a value as text of printable characters, cut where it is longer than `most`."""
    return _cut(printable(_text(value).strip().split("\n")[0][: most + 1]), most)


def quoted(value: object, most: int = 80) -> str:
    """What a user or a file says, as printable characters on one line, cut where it is longer than `most`."""
    return _cut(printable(_text(value)[: most + 1]), most)


def as_given(value: object) -> str:
    """What a user gave, as `quoted`, and in quotes where it is text."""
    return f"'{quoted(value, 60)}'" if isinstance(value, str) else quoted(value, 60)


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an integer that is too long to be written out
        return "a number of thousands of digits"


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"


def visible(value: object) -> str:
    """A value as text in which nothing hides: characters that print nothing, or turn what follows around, are named.

    Lines stay lines.
    """
    return "\n".join(printable(line) for line in str(value).split("\n"))


def inert_markdown(value: object) -> str:
    """A value on one line whose signs are shown by GitHub's Markdown, not read as markup."""
    return MARKDOWN_SIGNS.sub(r"\\\g<0>", printable(" ".join(str(value).split())))
