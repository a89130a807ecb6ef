"""Rebuild zoos of tracks: from their specs, to compare and record them, and from other seeds, for fresh scores."""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from zoo_generation.errors import InputError
from zoo_generation.files import read_json, write_json, written_aside
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import shown
from zoobench.evaluation.cells import prepare
from zoobench.leaderboard.entry import ENTRY, Entry, Fresh, Score, read_entry
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.reference import KEYS, population_digest, read_references, reference_path, write_reference
from zoobench.leaderboard.running import FailedError, measure, zoos_of
from zoobench.leaderboard.submission import read_submission
from zoobench.leaderboard.track import Track, read_track, read_tracks
from zoobench.methods.method import Method
from zoobench.methods.registry import get_method, method_names
from zoobench.populations import Population, TokenSet
from zoobench.tasks.base import AboutImages
from zoobench.zoo.workspace import Workspace

FIRST, LAST = 10**6, 2**31
"""Seeds to draw from: beyond those of the tracks' own zoos, and with room for each model's."""


@dataclass(frozen=True)
class Rebuilt:
    """A zoo of tracks, built from its spec.

    content: its `population_digest`; same: whether it equals the recorded zoo, or is recorded now, None if no recorded
    one exists; verdict: the same in words.
    """

    zoo: str
    models: int
    checkpoints: int
    content: str
    same: bool | None
    verdict: str


def rebuild(
    tracks: Sequence[Track], workspace: Workspace, record: bool = False, progress: Progress = QUIET
) -> list[Rebuilt]:
    """Build each zoo of the tracks, and compare it with the recorded one or, with `record`, record it now."""
    leaderboards, found = workspace.leaderboards, []
    recorded = {zoo: digest for track in tracks for zoo, digest in track.zoos.items()}
    for name, (population, token_size) in zoos_of(tracks, workspace, progress).items():
        digest = population_digest(population)
        same: bool | None = recorded[name] == digest
        if record:
            asking = [track.get_task() for track in read_tracks(leaderboards) if name in track.targets]
            write_reference(reference_path(leaderboards, name), name, population, asking, token_size)
            _record(leaderboards, name, digest)
            same, verdict = True, "recorded now"
        elif recorded[name] is None:
            same, verdict = None, "never recorded"
        elif same:
            verdict = "yes, to the bit"
        else:
            verdict = f"no: {_difference(population, reference_path(leaderboards, name))}"
        models = population.table["model_id"].nunique()
        found.append(Rebuilt(name, models, len(population), digest, same, verdict))
    return found


def _record(leaderboards: Path, zoo: str, digest: str) -> None:
    """Write a zoo's content into every track that has it."""
    line = re.compile(rf"^(  {re.escape(zoo)}:) (null|[0-9a-f]{{64}})$", re.MULTILINE)
    for track in read_tracks(leaderboards):
        path = leaderboards / track.name / "track.yaml"
        with written_aside(path) as aside:
            aside.write_text(line.sub(rf"\1 {digest}", path.read_text()))


def _difference(population: Population, path: Path) -> str:
    """How far checkpoints are from the recorded ones."""
    there = TokenSet.read(path).populations[0].table[[*KEYS, "test_accuracy"]]
    both = there.merge(population.table[[*KEYS, "test_accuracy"]], on=KEYS, suffixes=("", "_here"))
    if len(both) < len(there):
        return f"{len(there) - len(both)} of {len(there)} recorded checkpoints are missing"
    largest = float((both["test_accuracy"] - both["test_accuracy_here"]).abs().max())
    return f"other roundings; test accuracies differ by {largest:.4f} at most"


@dataclass(frozen=True)
class Refreshed:
    """The result of an entry on zoos of another seed.

    kind: `fresh` if it has scores, `recorded` if not, for a `reason`; recorded, fresh: means of the metric that ranks,
    fresh None if there is none; within: whether on every target the fresh one lies in the recorded interval, None if
    there is no fresh one or no interval.
    """

    track: str
    entry: str
    seed: int
    kind: Literal["fresh", "recorded"]
    recorded: float
    fresh: float | None
    within: bool | None
    reason: str
    seconds: float

    @property
    def words(self) -> str:
        """The same in one line."""
        scores = "" if self.fresh is None else f" {self.fresh:.3f}, recorded {self.recorded:.3f}"
        scores += {None: "", True: ", within its interval", False: ", outside its interval"}[self.within]
        reason = f" ({shown(self.reason)})" if self.reason else ""
        of = f"{self.track}/{shown(self.entry)[:80]}"
        return f"{of}: {self.kind}{scores}{reason}, zoos of seed {self.seed}, {self.seconds / 60:.1f} minutes"


def refresh(
    entries: Sequence[tuple[str, Path]],
    workspace: Workspace,
    seed: int | None = None,
    minutes: float = 240,
    progress: Progress = QUIET,
) -> Iterator[Refreshed]:
    """Measure entries, by track and folder, on rebuilt zoos, and write the scores into the entries.

    Answers that are about images alone are judged as they were handed in, by targets that are built anew; else the
    entry's method runs on the track's zoos, all built anew. seed: of the zoos, drawn if None. All results are kept
    under `runs/fresh/`, so the same command goes on where it ended; a new seed is drawn once all entries are measured.
    minutes: after this time, no further entry is started.
    """
    if not entries:
        return
    leaderboards, folder = workspace.leaderboards, workspace.runs / "fresh"
    kept = folder / "seed.json"
    first = drawn_seed(kept) if seed is None else seed
    there, started, whole = replace(workspace, home=folder), time.monotonic(), True

    @lru_cache(maxsize=1)  # the entries of a track come one after another
    def targets(name: str) -> dict[str, Population]:
        return _built_targets(leaderboards, read_track(leaderboards, name), there, first, progress)

    with workspace.ray():
        for name, path in entries:
            begun = time.monotonic()
            track, entry = read_track(leaderboards, name), read_entry(path)
            late = begun - started > 60 * minutes
            whole &= not late
            reason = f"not begun after {minutes:g} minutes; the same command goes on" if late else ""
            scores = None
            if not late:
                try:
                    if isinstance(track.get_task(), AboutImages):
                        answers = read_submission(path, track, read_references(leaderboards, track)).answers
                        found = judge(track, targets(name), answers, entry.seeds, workspace.data_root)
                    else:
                        found = _measured(leaderboards, track, entry, there, first, progress)
                    scores = Fresh(seed=first, date=datetime.now(UTC).date(), scores=found)
                    write_json(path / ENTRY, entry.model_copy(update={"fresh": scores}).fields())
                except (InputError, FailedError) as error:
                    reason = str(error)
            fresh = None if scores is None else scores.mean(track.metric)
            kind: Literal["fresh", "recorded"] = "recorded" if scores is None else "fresh"
            within = None if scores is None else _within(entry, scores, track.metric)
            known = (name, entry.name, first, kind, entry.mean(track.metric), fresh, within, reason)
            yield Refreshed(*known, time.monotonic() - begun)
    if seed is None and whole:
        kept.unlink(missing_ok=True)


def _built_targets(
    leaderboards: Path, track: Track, workspace: Workspace, seed: int, progress: Progress
) -> dict[str, Population]:
    """The targets of a track by name, built with another seed; its other zoos are not."""
    every = track.plan(leaderboards, workspace.zoos, seed=seed).origins
    origins = [each for each in every if each.name in track.targets]
    cells = prepare(origins, workspace, progress)
    return {each.name: replace(cells.population(each), name=each.name) for each in origins}


def _within(entry: Entry, fresh: Fresh, metric: str) -> bool | None:
    """Whether the fresh means of a metric lie in the recorded intervals, on every target; None without intervals."""
    bounds = {each.target: (each.low, each.high) for each in entry.scores if each.metric == metric}
    told = [(each.mean, *bounds[each.target]) for each in fresh.scores if each.metric == metric]
    if not told or any(number is None for each in told for number in each):
        return None
    return all(low <= mean <= high for mean, low, high in told)  # type: ignore[operator]


def _measured(
    leaderboards: Path, track: Track, entry: Entry, workspace: Workspace, seed: int, progress: Progress
) -> tuple[Score, ...]:
    """The scores of an entry's method; raises `InputError` or `FailedError` if it cannot be run here."""
    method, config = method_of(entry)
    results, answers = measure(method, config, track, workspace, progress, seed, leaderboards)
    origins = {origin.name: origin for origin in results.plan.origins}
    targets = {target: results.cells.population(origins[target]) for target in track.targets}
    return judge(track, targets, answers, sorted({each for _, each in answers}), workspace.data_root)


def drawn_seed(path: Path) -> int:
    """An unpredictable seed, kept at `path`, so that an interrupted run goes on with it."""
    try:
        kept = read_json(path, "the seed of fresh zoos").get("seed")
    except InputError:  # there is none, or it was cut short: then nothing depends on it
        kept = None
    if isinstance(kept, int) and FIRST <= kept < LAST:
        return kept
    seed = FIRST + secrets.randbelow(LAST - FIRST)
    write_json(path, {"seed": seed})
    return seed


def method_of(entry: Entry) -> tuple[Method, object]:
    """The method and the configuration that an entry states, by its command or else by its method's name.

    Raises `InputError` if no such method is installed here, or it has no such configuration.
    """
    try:
        words = shlex.split(entry.command)
    except ValueError:
        words = []
    name, preset, settings = entry.method, None, dict[str, str]()
    if words[:2] == ["zoobench", "eval"]:
        given = _options(words[2:])
        name = given.get("--method", given.get("--model", "sane"))
        pairs = [each.partition("=") for each in given.get("--set", "").split(",") if each.strip()]
        preset, settings = given.get("--preset"), {key.strip(): value for key, _, value in pairs}
    if not {name, name.rpartition("-")[0]} & {*method_names()}:  # a method, or a preset of one
        raise InputError(f"no method '{name[:60]}' is installed here")
    method = get_method(name)
    return method, method.config(preset, settings)


def _options(words: list[str]) -> dict[str, str]:
    """Values of options, as `--name value` or `--name=value`."""
    found = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            found[name] = value if equals else following
    return found
