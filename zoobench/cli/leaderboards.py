"""Leaderboards as tables on a screen."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from zoo_generation.text import shown
from zoobench.cli.console import Console, Table, styled, table
from zoobench.cli.tables import score_text
from zoobench.leaderboard import Entry, Track, ranked
from zoobench.leaderboard.comparison import Difference
from zoobench.leaderboard.entry import leading, mean_of, read_all


def print_json(content: Any) -> None:
    """To standard output, for other programs."""
    print(json.dumps(content, indent=2))


def track_list(tracks: Sequence[Track], entries: dict[str, list[Entry]]) -> list[Table]:
    """One table a scale, one row a track: what it asks for, the best method, and in brackets the best baseline."""
    tables = []
    for scale in dict.fromkeys(track.scale for track in sorted(tracks, key=lambda track: track.scale == "paper")):
        title = f"Tracks, {scale.replace('-', ' ')}: the best method (and the best baseline)"
        result = table(title, ["track", "ranks by", "best"], ["score", "entries"])
        for column in result.columns:
            column.no_wrap, column.overflow = str(column.header) in ("score", "entries"), "fold"
        for track in tracks:
            if track.scale == scale:
                method, baseline = leading(entries[track.name], track.metric, track.tolerance)
                names, scores = [["–"], ["–"]] if method is None else _cells(track, method, "{}")
                if baseline is not None:
                    below = _cells(track, baseline, "({})")
                    names, scores = names + below[0], scores + below[1]
                result.add_row(
                    track.name,
                    track.metric,
                    styled("\n".join(names)),
                    styled("\n".join(scores)),
                    str(len(entries[track.name])),
                )
        tables.append(result)
    return tables


def _cells(track: Track, entry: Entry, form: str) -> list[list[str]]:
    return [[form.format(shown(entry.name))], [form.format(_number(entry.mean(track.metric)))]]


def track_table(
    track: Track, entries: Sequence[Entry], pointed: Collection[str] = (), metric: str | None = None
) -> Table:
    """One row an entry, best first, one column a target; an arrow points to entries of the names `pointed`.

    Baselines, and entries that verification marked, have no place. What has fresh scores shows their mean.
    """
    metric = metric or track.metric
    fresh = any(entry.fresh for entry in entries)
    result = table(
        f"{track.name}: {metric}",
        ["", "entry"],
        ["mean", *(["fresh"] if fresh else []), *(each.replace("-", "\n") for each in track.targets)],
    )
    for place, entry in ranked(entries, metric, track.tolerance):
        scores = entry.of_metric(metric)
        cells = [score_text(scores[each].mean, scores[each].std) if each in scores else "–" for each in track.targets]
        if fresh:
            cells.insert(0, _number(mean_of(entry.fresh.scores, metric)) if entry.fresh else "–")
        name = shown(entry.name) + (" ←" if entry.name in pointed else "")
        style = "bold" if entry.name in pointed else None if entry.is_ranked else "dim"
        result.add_row(str(place or "–"), name, _number(entry.mean(metric)), *cells, style=style)
    return result


def mark_lines(entries: Sequence[Entry]) -> list[str]:
    """What verification marked of entries, a line each."""
    return [f"{shown(entry.name)}: {shown(mark)}" for entry in entries for mark in entry.marks]


def difference_tables(found: Sequence[Difference], first: str, second: str) -> list[Table]:
    """One table a track, one row a target: what either scores, and whether the intervals say that they differ."""
    tables = []
    for track in dict.fromkeys(each.track for each in found):
        of_track = [each for each in found if each.track == track]
        title = f"{track}: {of_track[0].metric} of {first} (A) and {second} (B)"
        result = table(title, ["target"], ["A", "B", "A − B", "intervals"])
        for each in of_track:
            said = {None: "–", True: "apart", False: "overlap"}[each.apart]
            difference = "–" if each.difference is None else f"{each.difference:+.3f}"
            result.add_row(each.target, score_text(each.first, None), score_text(each.second, None), difference, said)
        tables.append(result)
    return tables


def readable_entries(leaderboards: Path, track: Track) -> list[Entry]:
    """A track's entries; those that cannot be read are left out, and told on standard error."""
    entries, damaged = read_all(leaderboards, track.name)
    for problem in damaged:
        Console(stderr=True).print(f"Left out: {problem}", soft_wrap=True)
    return entries


def _number(value: float) -> str:
    return score_text(None if math.isnan(value) else value, None)
