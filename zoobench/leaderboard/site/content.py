"""The content of the pages: a track with its entries, and the cells of its table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from zoo_generation.text import visible, words
from zoobench.leaderboard.board import Board
from zoobench.leaderboard.entry import Entry, Score
from zoobench.leaderboard.track import Seen

MEASURES = {"r2": "R²", "tau": "τ"}
LEVELS: tuple[str, ...] = get_args(Seen)
UNITS = ["B", "kB", "MB", "GB", "TB"]


@dataclass(frozen=True)
class ScoreAxis:
    """The range of scores on a target."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """The place of a value on it, from 0 to 1; values beyond its ends are placed at them."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return min(1.0, max(0.0, share))


@dataclass(frozen=True)
class TableCell:
    """A score on a target; missing values are NaN."""

    mean: float
    std: float
    low: float
    high: float
    values: tuple[float, ...]
    axis: ScoreAxis

    @property
    def bar(self) -> tuple[float, float, float] | None:
        """Start, mean and end of the interval as percentages of the axis; None if a bound is unknown."""
        if math.isnan(self.mean + self.low + self.high):
            return None
        start, at, end = (100 * self.axis.share(value) for value in (self.low, self.mean, self.high))
        return start, at, end


@dataclass(frozen=True)
class Row:
    """An entry as the table shows it.

    rank: 1 is best, ties share it, None for baselines, marked entries, former ones and those without a score; means:
    over targets, by metric; on: number of these targets, by metric; cells: by metric, then by target, if there is a
    score; fresh: the mean of the ranking metric on rebuilt zoos, None if there is none; former: whether another version
    of the task scored it.
    """

    rank: int | None
    entry: Entry
    means: dict[str, float]
    on: dict[str, int]
    cells: dict[str, dict[str, TableCell]]
    fresh: float | None
    former: bool

    @property
    def conditions(self) -> list[tuple[str, float | None, str | float | None]]:
        """Column, number to sort and limit by, and value of each of the entry's conditions; None if it is not told."""
        told = self.entry.conditions.items()
        return [(name, LEVELS.index(value) if isinstance(value, str) else value, value) for name, value in told]

    @property
    def text(self) -> str:
        """The text that filters search."""
        entry = self.entry
        kinds = ["baseline"] * entry.baseline + ["fresh" if entry.fresh else "recorded", *entry.marks]
        seen = [entry.access or "", "runs models" * bool(entry.runs_models)]
        return " ".join(
            [entry.method, entry.name, *entry.authors, *kinds, *seen, entry.date.isoformat(), entry.licence]
        ).lower()


def rows(board: Board) -> list[Row]:
    """The entries in order, best first; then those that another version of the task scored."""
    track, made = board.track, []
    axes = {(metric, target): axis(board, metric, target) for metric in track.metrics for target in track.targets}
    for rank, entry in board.all():
        cells: dict[str, dict[str, TableCell]] = {}
        for metric in track.metrics:
            scores = entry.of_metric(metric)
            cells[metric] = {
                target: _cell(scores[target], axes[metric, target]) for target in track.targets if target in scores
            }
        means = {metric: entry.mean(metric) for metric in track.metrics}
        on = {metric: len(cells[metric]) for metric in track.metrics}
        fresh = entry.fresh.mean(track.metric) if entry.fresh else None
        made.append(Row(rank, entry, means, on, cells, fresh, entry.task_version != track.task_version))
    return made


def axis(board: Board, metric: str, target: str) -> ScoreAxis:
    """The range of all current entries' scores on a target; it begins at 0 if scores have both signs.

    One R² of -50 would make all others look the same.
    """
    scores = [entry.of_metric(metric).get(target) for entry in board.current]
    values = [_number(value) for score in scores if score for value in (score.mean, score.low, score.high)]
    known = [value for value in values if not math.isnan(value)] or [0.0]
    low, high = min(known), max(known)
    return ScoreAxis(low if high <= 0 else max(low, 0.0), high)


def by_scale(boards: Iterable[Board]) -> list[tuple[str, list[Board]]]:
    """The boards by scale, the smallest scale first."""
    order = sorted(boards, key=lambda board: board.track.scale != "two-cores")
    return [(scale, list(group)) for scale, group in itertools.groupby(order, lambda board: board.track.scale)]


def _cell(score: Score, of: ScoreAxis) -> TableCell:
    mean, std, low, high = (_number(value) for value in (score.mean, score.std, score.low, score.high))
    return TableCell(mean, std, low, high, tuple(_number(value) for value in score.values), of)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


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
    """A text as one line, because what is pasted into a shell runs at a line's end."""
    return visible(text).replace("\n", "\\n")
