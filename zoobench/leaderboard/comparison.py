"""Two entries beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_generation.errors import InputError, unknown
from zoobench.leaderboard.entry import Score, read_entries
from zoobench.leaderboard.track import Track


@dataclass(frozen=True)
class Difference:
    """How an entry scores on a target less how another does, by the metric that ranks.

    apart: whether their 95 % intervals do not overlap; none where one has no interval.
    """

    track: str
    target: str
    metric: str
    first: float | None
    second: float | None
    difference: float | None
    apart: bool | None


def differences(leaderboards: Path, tracks: Sequence[Track], first: str, second: str) -> list[Difference]:
    """On every target of the tracks that both entries are on; raises `InputError` where there is none."""
    found: list[Difference] = []
    names: set[str] = set()
    for track in tracks:
        entries = {entry.name: entry for entry in read_entries(leaderboards, track.name)}
        names |= entries.keys()
        if first in entries and second in entries:
            one, other = (entries[name].of_metric(track.metric) for name in (first, second))
            found += [_difference(track, target, one[target], other[target]) for target in track.targets]
    for name in (first, second):
        if name not in names:
            raise unknown("entry", name, names)
    if not found:
        raise InputError(f"the entries {first} and {second} are on no track together; name two that are")
    return found


def _difference(track: Track, target: str, one: Score, other: Score) -> Difference:
    difference = None if one.mean is None or other.mean is None else one.mean - other.mean
    apart = None
    if one.low is not None and one.high is not None and other.low is not None and other.high is not None:
        apart = one.low > other.high or one.high < other.low
    return Difference(track.name, target, track.metric, one.mean, other.mean, difference, apart)
