"""Lines with error bars, one panel per target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from zoobench.display.plotting import COLOURS, Plot, fitting, grid, panels_of, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">"]
DASHES: list[str | tuple[int, tuple[int, ...]]] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
"""Numbers without a common divisor: no two lines of the first 360 look alike."""


def line_plot(points: pd.DataFrame, name: str, title: str, xlabel: str, ylabel: str, xscale: str = "linear") -> Plot:
    """Means with standard deviations, from `curves`; the same points give the same bytes."""
    targets = list(dict.fromkeys(points["target"]))
    lines = list(dict.fromkeys(points["line"]))
    ticks = sorted(points["x"].unique())
    rows, columns = grid(len(targets))
    legend_rows = -(-len(lines) // columns)

    def draw(figure: Figure) -> None:
        for panel, target in zip(panels_of(figure, len(targets)), targets, strict=True):
            _draw(panel, points[points["target"] == target], lines)
            panel.set_title(fitting(target), loc="left")
            panel.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale)
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.minorticks_off()
        figure.legend(*_handles(lines), loc="outside lower left", ncols=columns)

    return plot(name, title, (3.4 * columns, 2.5 * rows + 0.22 * legend_rows), draw)


def _draw(panel: Axes, points: pd.DataFrame, lines: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        of_line = points[points["line"] == line]
        # a spread of NaN, from one seed, draws no bar
        panel.errorbar(of_line["x"], of_line["mean"], of_line["std"], capsize=2, elinewidth=0.8, **_look(place))


def _look(place: int) -> dict[str, Any]:
    """Colour, marker and dashes of a line: any one of them tells it from its neighbours."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.4,
        "markersize": 4,
    }


def _handles(lines: Sequence[str]) -> tuple[list[Line2D], list[str]]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], **_look(place)) for place in range(len(lines))], [fitting(line) for line in lines]
