"""Leaderboards as tables on a screen."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from rich.markup import escape
from rich.table import Table

from zoobench.cli.console import table
from zoobench.cli.ranking import score_text
from zoobench.leaderboard import Entry, Track, ranked
from zoobench.zoo.part_validation import shown


def track_list(tracks: Sequence[Track], entries: dict[str, list[Entry]]) -> Table:
    """One row a track: what it asks for, and who leads."""
    result = table("Tracks", ["track", "asks for", "best"], ["entries"])
    for track in tracks:
        best = ranked(entries[track.name], track.metric)[:1]
        leader = f"{escape(shown(best[0].method))} {_number(best[0].mean(track.metric))}" if best else "–"
        result.add_row(track.name, track.metric, leader, str(len(entries[track.name])))
    return result


def track_table(
    track: Track, entries: Sequence[Entry], marked: Collection[str] = (), metric: str | None = None
) -> Table:
    """One row an entry, best first, one column a target; entries of the names `marked` stand out."""
    metric = metric or track.metric
    result = table(
        f"{track.name}: {metric}", ["", "entry"], ["mean", *(each.replace("-", "\n") for each in track.targets)]
    )
    for rank, entry in enumerate(ranked(list(entries), metric), 1):
        scores = entry.of_metric(metric)
        cells = [score_text(scores[each].mean, scores[each].std) if each in scores else "–" for each in track.targets]
        name = escape(shown(entry.name))
        style = "bold" if entry.name in marked else "dim" if entry.baseline else None
        result.add_row(str(rank), name, _number(entry.mean(metric)), *cells, style=style)
    return result


def _number(value: float) -> str:
    return score_text(None if math.isnan(value) else value, None)
