"""Names and numbers as the leaderboard's pages show them."""

from __future__ import annotations

from zoo_generation.text import visible, words

MEASURES = {"r2": "R²", "tau": "τ"}
UNITS = ["B", "kB", "MB", "GB", "TB"]


def metric_words(name: str) -> str:
    """A metric as words: `R² of test accuracy` for `r2:test_accuracy`."""
    measure, _, of = name.partition(":")
    return " of ".join(words(part) for part in (MEASURES.get(measure, measure), of) if part)


def size(count: int) -> str:
    """Bytes in the unit that leaves the fewest digits: `1.2 MB`."""
    value, place = float(count), 0
    while value >= 999.5 and place < len(UNITS) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.1f} {UNITS[place]}" if place else f"{count} {UNITS[0]}"


def one_line(text: str) -> str:
    """A text on one line, where it breaks too: what is pasted into a shell runs at a line's end."""
    return visible(text).replace("\n", "\\n")
