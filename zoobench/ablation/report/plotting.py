"""Lines with error bars, a panel a target, as SVG that reads on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from zoobench.ablation.report.svg import themed
from zoobench.zoo.part_validation import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

COLOURS = ["#0072b2", "#d55e00", "#00875f", "#b5539a", "#9a7400", "#6a6fd0", "#c0453f", "#5f7f8c"]
"""Contrast of at least 3 to both pages."""
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">"]
DASHES: list[str | tuple[int, tuple[int, ...]]] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
"""As many as have no divisor in common with the others: no two lines of the first 360 look alike."""

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


def line_plot(points: pd.DataFrame, name: str, title: str, xlabel: str, ylabel: str, xscale: str = "linear") -> Plot:
    """Means with standard deviations, as `curves` makes them; the same points give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    targets = list(dict.fromkeys(points["target"]))
    lines = list(dict.fromkeys(points["line"]))
    ticks = sorted(points["x"].unique())
    columns = min(MAX_COLUMNS, len(targets))
    rows = -(-len(targets) // columns)
    legend_rows = -(-len(lines) // columns)
    drawn = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(3.4 * columns, 2.5 * rows + 0.22 * legend_rows), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, target in zip(panels, targets, strict=False):
            _draw(panel, points[points["target"] == target], lines)
            panel.set_title(_fitting(target), loc="left")
            panel.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale)
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.minorticks_off()
        for panel in panels[len(targets) :]:
            panel.set_axis_off()
        figure.legend(*_handles(lines), loc="outside lower left", ncols=columns)
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return Plot(name, title, themed(drawn.getvalue(), name, shown(title)))


def _draw(panel: Axes, points: pd.DataFrame, lines: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        of_line = points[points["line"] == line]
        # a spread of NaN, one seed's, draws no bar
        panel.errorbar(of_line["x"], of_line["mean"], of_line["std"], capsize=2, elinewidth=0.8, **_look(place))


def _look(place: int) -> dict[str, Any]:
    """Colour, marker and dashes of a line: any one of them is enough to tell neighbours apart."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.4,
        "markersize": 4,
    }


def _handles(lines: Sequence[str]) -> tuple[list[Line2D], list[str]]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], **_look(place)) for place in range(len(lines))], [_fitting(line) for line in lines]


def _fitting(name: str) -> str:
    text = shown(name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
