"""Numbers and names as all pages show them."""

from __future__ import annotations

import math

NOT_A_NUMBER = "–"


def number(value: float) -> str:
    """Three decimals, with a minus sign that is as wide as a plus."""
    return NOT_A_NUMBER if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def score(mean: float, std: float) -> str:
    """`mean ± std`, or what there is of it."""
    return number(mean) if math.isnan(mean) or math.isnan(std) else f"{number(mean)} ± {number(std)}"


def interval(low: float, high: float) -> str:
    """`[low, high]`, or nothing where a bound is unknown."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{number(low)}, {number(high)}]"


def words(name: str) -> str:
    """A task's or metric's name as words."""
    return name.replace("_", " ")
