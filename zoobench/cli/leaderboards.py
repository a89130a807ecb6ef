"""Leaderboards as tables on a screen."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from zoobench.cli.console import Console, Table, table
from zoobench.cli.ranking import score_text
from zoobench.leaderboard import Entry, Track, ranked
from zoobench.leaderboard.comparison import Difference
from zoobench.leaderboard.entry import read_all
from zoobench.text import shown


def print_json(content: Any) -> None:
    """To standard output, for other programs."""
    print(json.dumps(content, indent=2))


def track_list(tracks: Sequence[Track], entries: dict[str, list[Entry]]) -> list[Table]:
    """One table a scale, one row a track: what it asks for, and who leads."""
    tables = []
    for scale in dict.fromkeys(track.scale for track in sorted(tracks, key=lambda track: track.scale == "paper")):
        result = table(f"Tracks, {scale.replace('-', ' ')}", ["track", "ranks by", "best"], ["score", "entries"])
        for column in result.columns:
            column.no_wrap, column.overflow = str(column.header) in ("score", "entries"), "fold"
        for track in tracks:
            if track.scale == scale:
                best = ranked(entries[track.name], track.metric)[:1]
                leader = (shown(best[0].name), _number(best[0].mean(track.metric))) if best else ("–", "–")
                result.add_row(track.name, track.metric, *leader, str(len(entries[track.name])))
        tables.append(result)
    return tables


def track_table(
    track: Track, entries: Sequence[Entry], marked: Collection[str] = (), metric: str | None = None
) -> Table:
    """One row an entry, best first, one column a target; an arrow points to entries of the names `marked`."""
    metric = metric or track.metric
    result = table(
        f"{track.name}: {metric}", ["", "entry"], ["mean", *(each.replace("-", "\n") for each in track.targets)]
    )
    for rank, entry in enumerate(ranked(list(entries), metric), 1):
        scores = entry.of_metric(metric)
        cells = [score_text(scores[each].mean, scores[each].std) if each in scores else "–" for each in track.targets]
        name = shown(entry.name) + (" ←" if entry.name in marked else "")
        style = "bold" if entry.name in marked else "dim" if entry.baseline else None
        result.add_row(str(rank), name, _number(entry.mean(metric)), *cells, style=style)
    return result


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
