"""Maps of a grid of models: a number per cell as its colour, and the borders of phases; and a page of such maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo_generation.text import words
from zoobench.display.environment import asset, html_environment
from zoobench.display.plotting import Plot, fitting, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_INCHES = 0.62, 0.42  # width and height of a cell
AROUND_INCHES = 2.2, 1.2  # of axes, title and scale
LIGHT, DARK = "#ffffff", "#1b1d21"
BORDER: dict[str, Any] = {"color": "#d55e00", "linewidth": 1.8}


def heat_map(name: str, metric: str, title: str, values: pd.DataFrame, phases: pd.DataFrame) -> Plot:
    """A map of numbers, one row per value of the index and one column per value of the columns, both named.

    phases: a phase per cell, of the same shape, or None: its name stands in the cell, and a line between cells of
    different phases. The first row is drawn at the bottom. Cells that are NaN stay empty.
    """
    rows, columns = values.shape
    size = AROUND_INCHES[0] + CELL_INCHES[0] * columns, AROUND_INCHES[1] + CELL_INCHES[1] * rows

    def draw(figure: Figure) -> None:
        panel = figure.subplots()
        drawn = panel.pcolormesh(np.ma.masked_invalid(values.to_numpy(float)), cmap="viridis")
        figure.colorbar(drawn, ax=panel, label=words(metric))
        for axis, labels in ((panel.xaxis, values.columns), (panel.yaxis, values.index)):
            axis.set_ticks(np.arange(len(labels)) + 0.5, [fitting(f"{label:g}") for label in labels])
            axis.set_label_text(words(str(labels.name)))
        _write(panel, values, phases)
        for xs, ys in borders(phases):
            panel.plot(xs, ys, **BORDER)
        panel.set_title(fitting(f"{words(metric)}: {title}", 60), loc="left")

    return plot(name, f"{words(metric)} of {title}", size, draw)


def borders(phases: pd.DataFrame) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The sides between neighbouring cells of different phases, as the x and the y of both ends; cell [0, 0] lies
    between 0 and 1. Cells without a phase have no border.

    >>> borders(pd.DataFrame([["I", "II"]]))
    [((1, 1), (0, 1))]
    """
    grid = phases.to_numpy(object)
    known = phases.notna().to_numpy()
    lines = []
    for row, column in np.ndindex(grid.shape):
        for beside, ends in (
            ((row, column + 1), ((column + 1, column + 1), (row, row + 1))),
            ((row + 1, column), ((column, column + 1), (row + 1, row + 1))),
        ):
            within = beside[0] < grid.shape[0] and beside[1] < grid.shape[1]
            if within and known[row, column] and known[beside] and grid[row, column] != grid[beside]:
                lines.append(ends)
    return lines


def page(title: str, tables: Mapping[str, pd.DataFrame], plots: Sequence[Plot]) -> str:
    """A page of tables by heading, and of plots, as HTML: one file that asks for nothing else."""
    template = html_environment("zoobench.display").get_template("maps.html.j2")
    return template.render(title=title, tables=tables, plots=plots, style=asset("style.css"))


def _write(panel: Axes, values: pd.DataFrame, phases: pd.DataFrame) -> None:
    """The phase of each cell in a colour that is seen there; as markers, since a page colours all text alike."""
    numbers, names = values.to_numpy(float), phases.to_numpy(object)
    bright = numbers > (np.nanmin(numbers) + np.nanmax(numbers)) / 2
    for name in sorted({name for name in names.flat if isinstance(name, str)}):
        marker = f"$\\mathrm{{{name.replace('-', '{-}')}}}$"
        wide = sum(
            0.4 if letter == "I" else 0.75 for letter in name
        )  # by its height; a marker's size is of its larger side
        for colour, chosen in ((LIGHT, ~bright), (DARK, bright)):
            rows, columns = np.nonzero((names == name) & chosen)
            size = 60 * max(1.0, wide) ** 2
            panel.scatter(columns + 0.5, rows + 0.5, size, colour, marker=marker, linewidth=0)
