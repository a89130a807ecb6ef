"""Entries of a leaderboard, made from measurements and ranked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo_generation.errors import InputError, unknown
from zoobench.files import read_json, write_json
from zoobench.provenance import hardware, versions
from zoobench.tasks.measurement import records, summary
from zoobench.tasks.property_prediction import POOLED
from zoobench.tasks.registry import TASKS

PRIMARY = {task.name: task.primary for task in TASKS.values()} | {POOLED: TASKS["property_prediction"].primary}
"""The metric by which each task ranks; higher is better for all of them."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=128)]


class Score(BaseModel):
    """Mean and standard deviation over seeds of one metric on one target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Name
    metric: str = Field(max_length=128)
    mean: float | None
    std: float | None
    seeds: int


class Entry(BaseModel):
    """One method on one track."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["zoobench-entry/1"] = "zoobench-entry/1"
    track: Name
    method: Name
    metric: str = Field(max_length=128)
    scores: tuple[Score, ...]
    zoo: str
    seeds: tuple[int, ...]
    command: str
    hardware: str
    versions: dict[str, str]
    date: str

    @property
    def primary(self) -> dict[str, Score]:
        """Scores of the ranking metric, by target."""
        return {score.target: score for score in self.scores if score.metric == self.metric}

    @property
    def rank_value(self) -> float:
        """Mean of the ranking metric over targets; minus infinity where one is missing."""
        means = [score.mean for score in self.primary.values()]
        known = [mean for mean in means if mean is not None]
        return sum(known) / len(known) if known and len(known) == len(means) else float("-inf")


def enter(measurements: pd.DataFrame, zoo: str, token_key: str, command: str, leaderboards: Path) -> list[Path]:
    """Write an entry for each task and method measured; a method's earlier entry on the track is replaced."""
    paths = []
    for (task, method), rows in measurements.groupby(["task", "method"], sort=False):
        averaged = summary(rows).drop(columns=["task", "method"])
        scores = [Score.model_validate(score) for score in records(averaged)]
        entry = Entry(
            track=f"{task}-{zoo}",
            method=str(method),
            metric=PRIMARY[str(task)],
            scores=tuple(scores),
            zoo=token_key,
            seeds=tuple(sorted(int(seed) for seed in rows["seed"].unique())),
            command=command,
            hardware=hardware(),
            versions=versions(),
            date=datetime.now(UTC).date().isoformat(),
        )
        paths.append(leaderboards / entry.track / f"{entry.method}.json")
        write_json(paths[-1], entry.model_dump(mode="json"))
    return paths


def track_names(leaderboards: Path) -> list[str]:
    """Tracks that hold an entry."""
    return sorted({entry.parent.name for entry in leaderboards.glob("*/*.json")})


def read_track(leaderboards: Path, track: str) -> list[Entry]:
    """A track's entries; raises `InputError` where there is no such track, or an entry is damaged."""
    if track not in track_names(leaderboards):
        raise unknown("track", track, track_names(leaderboards))
    entries = []
    for path in sorted((leaderboards / track).glob("*.json")):
        try:
            entries.append(Entry.model_validate(read_json(path, "the entry")))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"the entry {path} is not valid: field '{field}': {first['msg'].lower()}") from None
    return entries


def ranked(entries: list[Entry]) -> list[Entry]:
    """Best first; ties by name."""
    return sorted(entries, key=lambda entry: (-entry.rank_value, entry.method))
