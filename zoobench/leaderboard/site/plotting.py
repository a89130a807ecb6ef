"""Entries as dots with intervals, one panel per target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobench.display.plotting import COLOURS, Plot, fitting, grid, panels_of, plot
from zoobench.display.svg import without_styles
from zoobench.leaderboard.board import Board
from zoobench.leaderboard.entry import Entry
from zoobench.leaderboard.site.content import Row, axis, metric_words, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD, BASELINE = COLOURS[0], COLOURS[7]
STRONG = COLOURS[1]
LONGEST = 22
"""Characters of a method's name."""
GREY = "#8a8f98"


def dot_plot(board: Board, one: Entry | None = None) -> Plot:
    """By the metric that ranks; all entries alike, or one highlighted."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shown = [row for row in rows(board) if not row.former]
    targets, metric = board.track.targets, board.track.metric
    lines, columns = grid(len(targets))
    name = f"plot-{board.track.name}" + (f"-{one.name}" if one else "")
    among = f"{fitting(one.method)} among all entries" if one else "all entries"
    title = f"{metric_words(metric)}, {among}, by target"

    def draw(figure: Figure) -> None:
        layout = figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        layout.set(wspace=0.08)  # the last number of an axis keeps clear of the next's first
        for place, (panel, target) in enumerate(zip(panels_of(figure, len(targets)), targets, strict=True)):
            _draw(panel, board, target, shown, one)
            panel.set_title(fitting(target), loc="left")
            panel.set_xlabel(metric_words(metric))
            labels = [fitting(row.entry.method, LONGEST) for row in shown]
            panel.set_yticks(range(len(shown)), labels if place % columns == 0 else [])

    made = plot(name, title, (2.0 + 3.4 * columns, (0.9 + 0.24 * len(shown)) * lines), draw)
    return Plot(made.name, made.title, without_styles(made.svg))


def _draw(panel: Axes, board: Board, target: str, shown: list[Row], one: Entry | None) -> None:
    metric = board.track.metric
    scale = axis(board, metric, target)
    margin = 0.04 * (scale.high - scale.low) or 0.5
    for place, row in enumerate(shown):
        cell = row.cells[metric].get(target)
        if cell is None:
            continue
        entry = row.entry
        is_other = one is not None and entry is not one
        colour = GREY if is_other else STRONG if one else BASELINE if entry.baseline else METHOD
        marker = "<" if cell.mean < scale.low else "s" if entry.baseline else "o"
        panel.plot([max(cell.low, scale.low), max(cell.high, scale.low)], [place, place], color=colour, linewidth=1.6)
        filled = "none" if entry.baseline else colour
        at = max(cell.mean, scale.low)
        panel.plot([at], [place], marker=marker, color=colour, markerfacecolor=filled, markersize=5, linewidth=0)
    panel.set(xlim=(scale.low - margin, scale.high + margin), ylim=(len(shown) - 0.4, -0.6))
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.5)
    panel.spines["left"].set_visible(False)
