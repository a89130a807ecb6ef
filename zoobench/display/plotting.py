"""Figures as SVG that reads on a light and on a dark page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_generation.text import shown
from zoobench.display.svg import themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#0072b2", "#d55e00", "#00875f", "#b5539a", "#9a7400", "#6a6fd0", "#c0453f", "#5f7f8c"]
"""Contrast of at least 3 to both pages."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "text.parse_math": False,  # names may hold dollar signs
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}
MAX_COLUMNS = 3
LONGEST_NAME = 40
"""Characters of a name that fit a panel's width."""


@dataclass(frozen=True)
class Plot:
    """An SVG, a name to save it under, and a title that says what is drawn."""

    name: str
    title: str
    svg: str


def plot(name: str, title: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> Plot:
    """Draw into a figure of a size in inches; equal drawings give equal bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # of letters that matplotlib's font has not: it is the page's font that shows them
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return Plot(name, title, themed(drawn.getvalue(), name, shown(title)))


def grid(panels: int) -> tuple[int, int]:
    """Rows and columns of a grid that holds a number of panels."""
    columns = min(MAX_COLUMNS, panels)
    return -(-panels // columns), columns


def panels_of(figure: Figure, count: int, **options: Any) -> list[Axes]:
    """A number of panels of a figure, row by row."""
    axes = list(figure.subplots(*grid(count), squeeze=False, **options).flat)
    for empty in axes[count:]:
        empty.set_axis_off()
    return axes[:count]


def fitting(name: str, longest: int = LONGEST_NAME) -> str:
    """A name of printable characters, cut where it is longer."""
    text = shown(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
