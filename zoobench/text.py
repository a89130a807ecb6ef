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


def shown(value: object) -> str:
    """The first line of a value as text of printable characters, cut where it is long."""
    text = printable(str(value).strip().split("\n")[0])
    return text if len(text) <= 300 else f"{text[:300]}…"


def quoted(value: object, most: int = 80) -> str:
    """What a file says, as printable characters on one line, cut where it is long: for sentences about it."""
    return printable(str(value)[:most])[:most]


def visible(value: object) -> str:
    """A value as text in which nothing hides: characters that print nothing, or turn what follows around, are named.

    Lines stay lines.
    """
    return "\n".join(printable(line) for line in str(value).split("\n"))


def inert_markdown(value: object) -> str:
    """A value on one line whose signs are shown by GitHub's Markdown, not read as markup."""
    return MARKDOWN_SIGNS.sub(r"\\\g<0>", printable(" ".join(str(value).split())))
