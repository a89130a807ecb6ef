"""Figures drawn from tables. Every function returns a matplotlib figure, which `save` writes as a PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from zoo_generation.files import StoragePath, written_aside
from zoobench.display.plotting import fitting, grid, panels_of

DPI = 120
BINS = np.linspace(0, 1, 51)  # of histograms of accuracies
MARKS = (("grey", ":"), ("black", "--"), ("black", "-."))
"""Colours and dashes of vertical lines."""


class Drawing(Figure):
    """A matplotlib figure that a notebook shows, whether or not pyplot is imported."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, dpi=DPI, format="png")
        return content.getvalue()


def save(figure: Figure, path: StoragePath) -> None:
    """Write a figure as a PNG, in place of what is there once it is whole."""
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=DPI, format="png")


def histograms(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    lines: Mapping[str, Mapping[str, float]] | None = None,
    xlabel: str = "test accuracy",
) -> Drawing:
    """Histograms of numbers in [0, 1], as densities: one panel per title, one histogram per label in it.

    lines: vertical lines of a panel, by title and label. Numbers that are NaN are left out.

    >>> drawn = histograms({"mnist": {"zoo": [0.9, 0.95], "generated": [0.7]}}, {"mnist": {"random": 0.1}})
    >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    ['zoo', 'generated', 'random']
    """
    figure, axes = _panels(len(panels), 1, (7, 2.8))
    for axis, (title, series) in zip(axes[:, 0], panels.items(), strict=False):
        for label, numbers in series.items():
            values = np.asarray(numbers, float).ravel()
            values = values[~np.isnan(values)]
            if len(values):
                axis.hist(values, BINS, alpha=0.5, label=fitting(label), density=True)
        marks = (lines or {}).get(title, {})
        for (label, place), (colour, dashes) in zip(marks.items(), MARKS, strict=False):
            axis.axvline(place, color=colour, linestyle=dashes, label=fitting(label))
        axis.set(xlabel=xlabel, ylabel="density", xlim=(0, 1))
        axis.set_title(fitting(title), parse_math=False)
        if axis.patches or axis.lines:
            axis.legend()
    return figure


def losses(table: pd.DataFrame) -> Drawing:
    """Losses against `step`, one line per other column; columns whose name holds `r2` on an axis of their own."""
    figure, axes = _panels(1, 2, (5, 3.5))
    left, right = axes[0]
    for name in table.columns.drop("step"):
        known = table[["step", name]].dropna()
        panel = right if "r2" in name else left
        panel.plot(known["step"], known[name], label=fitting(name))
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="R²", ylim=(0, 1))
    for panel in (left, right):
        if panel.lines:
            panel.legend()
    return figure


def scatter(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], label: str = "test accuracy") -> Drawing:
    """Points [points, numbers] along their two principal components, coloured by a value in [0, 1] of each.

    panels: points and values by title.

    >>> drawn = scatter({"mnist": ([[0, 1, 2], [3, 4, 5]], [0.1, 0.9])})
    >>> drawn.axes[0].get_title()
    'mnist'
    """
    figure, axes = _panels(1, len(panels), (5, 4))
    for axis, (title, (points, values)) in zip(axes[0], panels.items(), strict=False):
        across = _principal_components(np.asarray(points, float))
        drawn = axis.scatter(across[:, 0], across[:, 1], c=values, s=8, cmap="viridis", vmin=0, vmax=1)
        axis.set(xlabel="first component", ylabel="second component")
        axis.set_title(fitting(title), parse_math=False)
        figure.colorbar(drawn, ax=axis, label=label)
    return figure


def populations(records: Sequence[Mapping[str, Any]]) -> Drawing:
    """Test accuracies of a zoo's models, one row of panels per population: of last checkpoints, and over epochs.

    records: as `zoobench zoo inspect` writes them, with `title`, `accuracy_histogram` (counts of bins from 0 to 1) and
    `accuracy_by_epoch` (`epoch`, `mean` and `std` or None).
    """
    figure, axes = _panels(len(records), 2, (5, 2.6))
    for (left, right), record in zip(axes, records, strict=False):
        counts = record["accuracy_histogram"]
        left.stairs(counts, np.linspace(0, 1, len(counts) + 1), fill=True)
        left.yaxis.set_major_locator(MaxNLocator(integer=True))
        left.set(xlabel="test accuracy, last checkpoints", ylabel="models", xlim=(0, 1))
        epochs = [each["epoch"] for each in record["accuracy_by_epoch"]]
        mean = np.array([each["mean"] for each in record["accuracy_by_epoch"]])
        std = np.array([each["std"] or 0.0 for each in record["accuracy_by_epoch"]])
        right.plot(epochs, mean, marker="o")
        right.fill_between(epochs, mean - std, mean + std, alpha=0.3)
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
        for panel in (left, right):
            panel.set_title(fitting(record["title"], 60), parse_math=False)
    return figure


def dots(table: pd.DataFrame, xlabel: str = "") -> Drawing:
    """Scores as dots with intervals: one panel per value of `panel`, one line in it per value of `name`.

    table: columns `panel`, `name`, `mean`, `low` and `high`; bounds that are NaN draw no interval. A panel's
    name may have several lines.

    >>> table = pd.DataFrame({"panel": ["mnist"], "name": ["sane"], "mean": [0.5], "low": [0.4], "high": [0.7]})
    >>> [tick.get_text() for tick in dots(table).axes[0].get_yticklabels()]
    ['sane']
    """
    titles, names = (list(dict.fromkeys(table[column])) for column in ("panel", "name"))
    rows, columns = grid(max(1, len(titles)))
    figure = Drawing(figsize=(2.0 + 3.4 * columns, (1.1 + 0.3 * len(names)) * rows), layout="constrained")
    for place, (panel, title) in enumerate(zip(panels_of(figure, max(1, len(titles))), titles, strict=False)):
        shown = table[table["panel"] == title].drop_duplicates("name").set_index("name").reindex(names)
        reach = np.abs(shown[["low", "high"]].to_numpy(float) - shown[["mean"]].to_numpy(float)).T
        panel.errorbar(shown["mean"], np.arange(len(names)), xerr=reach, fmt="o", markersize=5, linewidth=1.6)
        panel.set_yticks(range(len(names)), [fitting(name) for name in names] if place % columns == 0 else [])
        panel.set(xlabel=xlabel, ylim=(len(names) - 0.4, -0.6))
        panel.set_title("\n".join(map(fitting, title.split("\n"))), loc="left", parse_math=False, fontsize="medium")
        panel.grid(axis="x", alpha=0.3, linewidth=0.5)
    return figure


def frontier(table: pd.DataFrame, xlabel: str, ylabel: str) -> Drawing:
    """Points with names: one panel per value of `panel`; a line joins names that differ by a number at their end.

    table: columns `panel`, `name`, `x` and `y`; points that are NaN are left out.

    >>> table = pd.DataFrame({"panel": "mnist", "name": ["noise_10", "noise_20"], "x": [1.0, 2.0], "y": [0.9, 0.8]})
    >>> [line.get_label() for line in frontier(table, "novelty", "accuracy").axes[0].lines]
    ['noise']
    """
    titles = list(dict.fromkeys(table["panel"]))
    rows, columns = grid(max(1, len(titles)))
    figure = Drawing(figsize=(5.2 * columns, 4.2 * rows), layout="constrained")
    for panel, title in zip(panels_of(figure, max(1, len(titles))), titles, strict=False):
        shown = table[table["panel"] == title].dropna(subset=["x", "y"])
        families = shown.groupby(shown["name"].str.replace(r"_\d+$", "", regex=True), sort=False)
        for family, points in families:
            if len(points) > 1:
                ordered = points.sort_values("x")
                panel.plot(ordered["x"], ordered["y"], color="grey", linewidth=1.2, label=fitting(str(family)))
        panel.scatter(shown["x"], shown["y"], s=18, zorder=2)
        for name, x, y in shown[["name", "x", "y"]].itertuples(index=False):
            panel.annotate(fitting(str(name)), (x, y), xytext=(4, 3), textcoords="offset points", fontsize="x-small")
        panel.set(xlabel=xlabel, ylabel=ylabel)
        panel.set_title(fitting(title), loc="left", parse_math=False, fontsize="medium")
    return figure


def _panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Drawing, NDArray[Any]]:
    """A figure, and its panels [rows, columns], at least one, of so many inches each."""
    rows, columns = max(1, rows), max(1, columns)
    figure = Drawing(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    return figure, axes


def _principal_components(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [points, numbers] along the two directions in which they vary most [points, 2]."""
    left, scale, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    across = (left * scale)[:, :2]
    return np.pad(across, ((0, 0), (0, 2 - across.shape[1])))
