"""Run the methods of entries on zoos that are built anew, with progress; write the scores into the entries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from zoo_generation.errors import InputError
from zoo_generation.files import write_json
from zoo_generation.training.cluster import ray_session
from zoobench.evaluation import run
from zoobench.leaderboard import Entry, Track, read_entry, read_track
from zoobench.leaderboard.entry import ENTRY, Fresh, mean_of
from zoobench.leaderboard.fresh import drawn_seed, fresh_study, method_of
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.running import answers_of, check_applicable
from zoobench.zoo.workspace import Workspace


@dataclass(frozen=True)
class Refreshed:
    """What came of one entry: `fresh` with the mean of the metric that ranks, or `recorded` alone, and why."""

    track: str
    entry: str
    seed: int
    kind: Literal["fresh", "recorded"]
    recorded: float
    fresh: float | None
    reason: str
    seconds: float


def refresh(
    entries: Sequence[tuple[str, Path]], leaderboards: Path, place: Workspace, seed: int | None, minutes: float
) -> Iterator[Refreshed]:
    """Measure entries, by track and folder, one after another; of a seed that is drawn where none is given.

    All that is made is kept under `runs/fresh/`, so that the same command goes on where it ended; a drawn seed is drawn
    anew once all entries were measured. After so many minutes no other entry is begun.
    """
    folder = place.home / "runs" / "fresh"
    kept = folder / "seed.json"
    first = drawn_seed(kept) if seed is None else seed
    there, started, whole = replace(place, home=folder), time.monotonic(), True
    with ray_session(place.ray_address, place.workers):
        for name, entry in entries:
            begun = time.monotonic()
            track, found = read_track(leaderboards, name), read_entry(entry)
            late = begun - started > 60 * minutes
            whole &= not late
            reason = f"not begun after {minutes:g} minutes; the same command goes on" if late else ""
            scores = None
            if not late:
                try:
                    scores = _measured(leaderboards, track, found, there, first)
                    write_json(entry / ENTRY, found.model_copy(update={"fresh": scores}).fields())
                except InputError as error:
                    reason = str(error)
            fresh = None if scores is None else mean_of(scores.scores, track.metric)
            kind: Literal["fresh", "recorded"] = "recorded" if scores is None else "fresh"
            known = (name, found.name, first, kind, found.mean(track.metric), fresh, reason)
            yield Refreshed(*known, time.monotonic() - begun)
    if seed is None and whole:
        kept.unlink(missing_ok=True)


def _measured(leaderboards: Path, track: Track, entry: Entry, place: Workspace, seed: int) -> Fresh:
    """The scores of an entry's method; raises `InputError` where it cannot be run here, or fails."""
    method, choice = method_of(entry)
    check_applicable(track, method)
    results = run(fresh_study(leaderboards, track, method, choice, seed).plan(place), place)
    for piece, reason in results.failures.items():
        raise InputError(f"{piece} failed: {reason}")
    answers = answers_of(results)
    targets = {
        origin.name: replace(results.cells.population(origin), name=origin.name)
        for origin in results.plan.origins
        if origin.name in track.targets
    }
    scores = judge(track, targets, answers, sorted({each for _, each in answers}), place.data_root)
    return Fresh(seed=seed, date=datetime.now(UTC).date(), scores=scores)
