"""Leaderboards: the ranking of a track, comparisons of entries, and adding submissions."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from zoo_generation.errors import InputError, unknown
from zoo_generation.files import beside, exchange, write_json
from zoo_generation.progress import QUIET, Progress
from zoobench.leaderboard.entry import CONDITIONS, ENTRY, Entry, Score, read_all, read_entries, read_entry
from zoobench.leaderboard.submission import assemble
from zoobench.leaderboard.track import Track, read_track
from zoobench.leaderboard.untrusted.archive import pack
from zoobench.leaderboard.untrusted.files import Refused, folded
from zoobench.leaderboard.verification import Verified, copies, verified
from zoobench.zoo.workspace import Workspace

LOCK = ".lock"

Places = Sequence[tuple[int | None, Entry]]
"""Entries, best first, each with its place, or None."""


@dataclass(frozen=True)
class Board:
    """A track and its entries; damaged: why other entries cannot be read, one sentence each."""

    track: Track
    entries: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()

    @classmethod
    def read(cls, leaderboards: Path, track: Track) -> Board:
        """A track's entries in a folder."""
        entries, damaged = read_all(leaderboards, track.name)
        return cls(track, tuple(entries), tuple(damaged))

    def with_entry(self, entry: Entry) -> Board:
        """The board with an entry in the place of that of its name."""
        return replace(self, entries=(*(each for each in self.entries if each.name != entry.name), entry))

    @property
    def current(self) -> list[Entry]:
        """Entries scored by the current version of the track's task."""
        return [entry for entry in self.entries if entry.task_version == self.track.task_version]

    @property
    def former(self) -> list[Entry]:
        """Entries scored by another version of the task: they stay readable, without a place."""
        return [entry for entry in self.entries if entry.task_version != self.track.task_version]

    def ranked(self, metric: str | None = None) -> Places:
        """The current entries, best first. Baselines, marked entries and those without a score have no place.

        Scores that differ from the best of a place by less than the tolerance are ties and share it: the best by the
        track's next metric first, then the earliest. metric: None for the one that ranks.
        """
        metric = metric or self.track.metric
        found: list[tuple[float, int | None, Entry]] = []
        best, place = math.inf, 0
        means = sorted(((entry.mean(metric), entry) for entry in self.current), key=lambda each: -_or_least(each[0]))
        for before, (mean, entry) in enumerate(
            (each for each in means if each[1].is_ranked and not math.isnan(each[0])), 1
        ):
            if mean != best and best - mean >= self.track.tolerance:
                best, place = mean, before
            found.append((best, place, entry))
        found += [(_or_least(mean), None, entry) for mean, entry in means if math.isnan(mean) or not entry.is_ranked]
        following = next((each for each in self.track.metrics if each != metric), metric)

        def order(found: tuple[float, int | None, Entry]) -> tuple[float, bool, float, date, str]:
            score, place, entry = found
            return -score, place is None, -_or_least(entry.mean(following)), entry.date, entry.name

        found.sort(key=order)
        return [(place, entry) for _, place, entry in found]

    def all(self, metric: str | None = None) -> Places:
        """The current entries as in `ranked`, then the former ones, without places."""
        former = sorted(self.former, key=lambda entry: (-entry.task_version, entry.name))
        return [*self.ranked(metric), *((None, entry) for entry in former)]

    @property
    def leading(self) -> tuple[Entry | None, Entry | None]:
        """The best method and the best baseline among the current entries with a score; None if there is none."""
        order = [each for each in self.ranked() if not math.isnan(each[1].mean(self.track.metric))]
        method = next((entry for place, entry in order if place is not None), None)
        return method, next((entry for _, entry in order if entry.baseline), None)

    def table(self, metric: str | None = None) -> pd.DataFrame:
        """One row per entry and target, best entry first.

        Columns: rank (missing if the entry has no place), entry, method, target, metric, mean, std, low, high, average
        (of the means over targets), access, runs_models, fit_core_seconds, asked_core_seconds and parameters (of the
        entry, missing if it does not tell), baseline, marks, fresh (the average on newly built zoos), task_version,
        method_version, current (whether the current version of the task scored it), date.
        """
        metric, rows = metric or self.track.metric, []
        for place, entry in self.all(metric):
            scores = entry.of_metric(metric)
            of = {
                "average": entry.mean(metric),
                **entry.conditions,
                "baseline": entry.baseline,
                "marks": "; ".join(entry.marks),
                "fresh": entry.fresh.mean(metric) if entry.fresh else math.nan,
                "task_version": entry.task_version,
                "method_version": entry.method_version,
                "current": entry.task_version == self.track.task_version,
                "date": entry.date,
            }
            for target in self.track.targets:
                score = scores.get(target)
                known = {name: getattr(score, name, None) for name in ("mean", "std", "low", "high")}
                named = {"rank": place, "entry": entry.name, "method": entry.method, "target": target, "metric": metric}
                rows.append(named | known | of)
        types = dict.fromkeys(("mean", "std", "low", "high", "fit_core_seconds", "asked_core_seconds"), "float64")
        types |= {"rank": "Int64", "runs_models": "boolean", "parameters": "Int64"}
        return pd.DataFrame(rows, columns=[*TABLE]).astype(types)


TABLE = (
    *("rank", "entry", "method", "target", "metric", "mean", "std", "low", "high", "average"),
    *CONDITIONS,
    *("baseline", "marks", "fresh", "task_version", "method_version", "current", "date"),
)
"""Columns of `Board.table`."""


def leaderboard(track: str, workspace: Workspace, metric: str | None = None) -> pd.DataFrame:
    """The ranking of a track, see `Board.table`. Raises `InputError` if it does not have the metric."""
    found = read_track(workspace.leaderboards, track)
    if metric is not None and metric not in found.metrics:
        raise unknown(f"metric of {track}", metric, found.metrics)
    return Board.read(workspace.leaderboards, found).table(metric)


def _or_least(mean: float) -> float:
    return -math.inf if math.isnan(mean) else mean


@dataclass(frozen=True)
class Difference:
    """The score of an entry on a target less that of another, by the metric that ranks.

    apart: whether their 95 % intervals do not overlap; None if one has no interval.
    """

    track: str
    target: str
    metric: str
    first: float | None
    second: float | None
    difference: float | None
    apart: bool | None


def differences(leaderboards: Path, tracks: Sequence[Track], first: str, second: str) -> list[Difference]:
    """On every target of the tracks that both entries are on. Raises `InputError` if there is none.

    Entries that another version of a track's task scored are left out.
    """
    found: list[Difference] = []
    names: set[str] = set()
    for track in tracks:
        entries = {entry.name: entry for entry in Board.read(leaderboards, track).current}
        names |= entries.keys()
        if first in entries and second in entries:
            one, other = (entries[name].of_metric(track.metric) for name in (first, second))
            found += [_difference(track, target, one[target], other[target]) for target in track.targets]
    for name in (first, second):
        if name not in names:
            raise unknown("entry", name, names)
    if not found:
        raise InputError(f"the entries {first} and {second} share no track; name two that do")
    return found


def _difference(track: Track, target: str, one: Score, other: Score) -> Difference:
    difference = None if one.mean is None or other.mean is None else one.mean - other.mean
    apart = None
    if one.low is not None and one.high is not None and other.low is not None and other.high is not None:
        apart = one.low > other.high or one.high < other.low
    return Difference(track.name, target, track.metric, one.mean, other.mean, difference, apart)


def add(
    leaderboards: Path,
    track: Track,
    path: Path,
    data_root: Path | None,
    replace: bool = False,
    fetch: bool = False,
) -> Path:
    """Verify a submission, a folder or a zip of one, and add it to the track. Returns its path there. What this process
    has just judged is not judged again.

    replace: replace the entry of the same name. Raises as `verified` does, and `Refused` if the name is taken; the
    leaderboard is then unchanged.
    """
    found = verified(leaderboards, track, path, data_root, fetch, again=False)
    folder = leaderboards / track.name
    place = folder / found.entry.name
    _check_place(leaderboards, track, found, replace)  # here too, so that a refused one leaves not even a lock
    with _aside(place, found, track.artefact) as aside, FileLock(folder / LOCK):
        _check_place(leaderboards, track, found, replace)
        if place.exists():
            exchange(aside, place)
        else:
            aside.rename(place)
    return place


def _check_place(leaderboards: Path, track: Track, found: Verified, replace: bool) -> None:
    """Raise `Refused` if the name is taken or another entry has the same content: both may happen during judging."""
    name = found.entry.name
    alike = [path for path in (leaderboards / track.name).iterdir() if folded(path.name) == folded(name)]
    for path in alike:
        if path.name != name or not (path / ENTRY).is_file() or path.is_symlink():
            raise Refused([f"the name '{name}' cannot be taken, since the track has '{path.name}'; choose another"])
        if not replace:
            raise Refused([f"the track has an entry '{name}' already; choose another name, or give --replace"])
    if problems := copies(read_entries(leaderboards, track.name), name, str(found.entry.content)):
        raise Refused(problems)


@contextmanager
def _aside(place: Path, found: Verified, artefact: str) -> Iterator[Path]:
    """The entry's folder, hidden beside its final place; whatever is left there in the end is removed."""
    with ExitStack() as stack:
        try:
            aside = stack.enter_context(beside(place))
        except OSError as error:
            raise InputError(f"cannot write into {place.parent} ({error.strerror or error})") from None
        aside.mkdir()
        if found.submission.beside:
            (aside / artefact).write_bytes(found.submission.artefact)
        write_json(aside / ENTRY, found.entry.fields())
        aside.chmod(0o755)
        yield aside


def submit(
    source: Path,
    workspace: Workspace,
    *,
    check: bool = False,
    out: Path | None = None,
    replace: bool = False,
    url: str | None = None,
    progress: Progress = QUIET,
    **said: Any,
) -> Entry:
    """Judge a submission and, if nothing is wrong with it, add it to its track. Returns the entry with its scores.

    source: a folder that `run_track` wrote, a zip file of one, or a single artefact; said: fields of the entry, such as
    `authors`, `licence` or `track`; check: only judge it; out: write one zip file instead; replace: replace the entry
    of the same name; url: address of the artefact, if it is too large for a repository. Raises `Refused` with all
    problems; then nothing has changed.
    """
    leaderboards, data_root = workspace.leaderboards, workspace.data_root
    with tempfile.TemporaryDirectory(prefix="zoobench-") as temporary:
        folder = Path(temporary)
        track = assemble(source, folder, leaderboards, said, url)
        progress.stage(f"judging it on {track.name}")
        if not check and out is None:
            return read_entry(add(leaderboards, track, folder, data_root, replace, fetch=url is not None))
        entry = verified(leaderboards, track, folder, data_root, fetch=url is not None).entry
        if out is not None:
            write_json(folder / ENTRY, entry.fields())
            pack(folder, (ENTRY, track.artefact), out)
        return entry
