"""An entry of a leaderboard: who submitted what, and the scores that verification gave it."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from zoo_generation.settings import Fields, Name, sentences
from zoobench.leaderboard.track import Digest, Seen
from zoobench.leaderboard.untrusted.fetching import reachable
from zoobench.leaderboard.untrusted.files import Refused, portable, read_plain

FORMAT: Literal["zoobench-submission/1"] = "zoobench-submission/1"
ENTRY = "entry.json"
OPTIONAL = ("marks", "fresh", "access", "runs_models", "fit_core_seconds", "asked_core_seconds")
CONDITIONS = ("access", "runs_models", "fit_core_seconds", "asked_core_seconds", "parameters")
MOST_BYTES = 200_000
"""Of `entry.json`."""

UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Invisible letters that change the visible text: they control a terminal, break a line, turn text around."""


def _seen(text: str) -> str:
    if found := UNSEEN.search(text):
        raise ValueError(f"it holds {found[0]!r}, which cannot be seen; take it out")
    return text


TAKEN = {ENTRY, "track.yaml", "entries.json", "index.html"}
"""Names of files that lie, or are written, beside entries."""


def _free(name: str) -> str:
    if name.lower() in TAKEN:
        raise ValueError("it is the name of another file; choose another")
    if problem := portable(name):
        raise ValueError(f"{problem}; choose another")
    return name


SEEN = AfterValidator(_seen)
"""One line of text, in any script; markup in it has no effect."""

Author = Annotated[str, Field(min_length=1, max_length=80), SEEN]
Mark = Annotated[str, Field(min_length=1, max_length=200), SEEN]
Link = Annotated[
    str,
    Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,9})?(/[!-~]*)?$", max_length=300),
    AfterValidator(reachable),
]


class Score(Fields):
    """One metric on one target, over seeds.

    values: one per seed; std: Bessel's, None for one seed; low, high: a 95 % interval by a bootstrap over seeds and
    models, None if there is none.
    """

    target: Name
    metric: Annotated[str, Field(max_length=60), SEEN]
    mean: FiniteFloat | None
    std: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    values: Annotated[tuple[FiniteFloat | None, ...], Field(min_length=1, max_length=100)]


class Artefact(Fields):
    """The file to judge: beside the entry, or at an address if it is too large."""

    sha256: Digest
    bytes: PositiveInt
    url: Link | None = None


class Fresh(Fields):
    """The scores of the entry's method, or of its answers about images, on zoos that the verifier built anew: seed is
    that of the zoos."""

    seed: NonNegativeInt
    date: datetime.date
    scores: Annotated[tuple[Score, ...], Field(max_length=1000)]

    def mean(self, metric: str) -> float:
        """Mean of a metric over targets; NaN if there is none."""
        return mean_of(self.scores, metric)


class Entry(Fields):
    """A submission; with `content`, `scores` and `marks` once it is verified.

    name: of its folder, unique within a track; method: as shown; seeds: those of the track, or only its first for a
    method without chance; task_version, method_version: of the task that scored it, and of the method, 1 if not given;
    access: the most that the method saw; runs_models: whether it runs the models, on inputs of its own;
    fit_core_seconds, asked_core_seconds: CPU time of a fit, 0 if it learns nothing, and inside the method while it
    answered for a target, means over seeds; None, in these four, if that is not told; content: digest of the answers in
    the artefact, whatever its bytes, unique within a track; marks: copies that it contains, see `marks_of`; fresh: None
    if scores are only recorded.
    """

    format: Literal["zoobench-submission/1"] = FORMAT
    track: Name
    name: Annotated[Name, AfterValidator(_free)]
    method: Annotated[str, Field(min_length=1, max_length=80), SEEN]
    baseline: bool = False
    authors: Annotated[tuple[Author, ...], Field(min_length=1, max_length=50)]
    description: Annotated[str, Field(max_length=1000), SEEN] = ""
    paper: Link | None = None
    code: Link | None = None
    licence: Annotated[str, Field(min_length=1, max_length=60), SEEN]
    parameters: NonNegativeInt | None = None
    compute: Annotated[str, Field(max_length=200), SEEN] = ""
    access: Seen | None = None
    runs_models: bool | None = None
    fit_core_seconds: NonNegativeFloat | None = None
    asked_core_seconds: NonNegativeFloat | None = None
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1, max_length=100)]
    command: Annotated[str, Field(max_length=500), SEEN] = ""
    hardware: Annotated[str, Field(max_length=200), SEEN] = ""
    versions: Annotated[
        dict[Annotated[str, Field(max_length=40), SEEN], Annotated[str, Field(max_length=40), SEEN]],
        Field(max_length=20),
    ] = Field(default_factory=dict)
    task_version: PositiveInt = 1
    method_version: PositiveInt = 1
    date: datetime.date
    artefact: Artefact
    content: Digest | None = None
    scores: Annotated[tuple[Score, ...], Field(max_length=1000)] = ()
    marks: Annotated[tuple[Mark, ...], Field(max_length=1000)] = ()
    fresh: Fresh | None = None

    def __repr__(self) -> str:
        metrics = dict.fromkeys(score.metric for score in self.scores)
        means = ", ".join(f"{metric} {self.mean(metric):.3f}" for metric in metrics)
        return f"<Entry {self.track}/{self.name}: {means or 'not judged yet'}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: one row per target and metric, over seeds."""
        table = pd.DataFrame([score.model_dump() for score in self.scores]).to_html(index=False, escape=True)
        return f"<p>{escape(f'{self.track}/{self.name}: {self.method}')}</p>{table}"

    @property
    def is_ranked(self) -> bool:
        """Whether it can take a place: baselines and marked entries cannot."""
        return not self.baseline and not self.marks

    @property
    def conditions(self) -> dict[str, str | float | None]:
        """What its method was allowed to see and do, and what it cost, by field; None if that is not told."""
        return {name: getattr(self, name) for name in CONDITIONS}

    def fields(self) -> dict[str, Any]:
        """The content of its file; optional fields only if they are set."""
        return self.model_dump(mode="json", exclude={name for name in OPTIONAL if getattr(self, name) in (None, ())})

    def of_metric(self, metric: str) -> dict[str, Score]:
        """Scores by target."""
        return by_target(self.scores, metric)

    def mean(self, metric: str) -> float:
        """Mean of a metric over the given targets; NaN if one has no score, or no target is given."""
        return mean_of(self.scores, metric)


def by_target(scores: Sequence[Score], metric: str) -> dict[str, Score]:
    """Those of a metric."""
    return {score.target: score for score in scores if score.metric == metric}


def mean_of(scores: Sequence[Score], metric: str) -> float:
    """Mean of a metric over the given targets; NaN if one has no score, or no target is given."""
    means = [math.nan if score.mean is None else score.mean for score in by_target(scores, metric).values()]
    return sum(means) / len(means) if means else math.nan


def parse_fields(content: bytes, name: str = ENTRY) -> dict[str, Any]:
    """The fields in a file of that name. Raises `Refused` for anything else, and for another format."""
    try:
        values = json.loads(content.decode())
    except RecursionError:
        raise Refused([f"{name} is nested too deeply to be an entry"]) from None
    except ValueError:
        raise Refused([f"{name} is not JSON, in UTF-8; restore it or make it again"]) from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        told = f"the format {found[:60]!r}" if isinstance(found, str) else "no format that can be read"
        raise Refused(
            [f"{name} has {told}, and this version of zoobench reads '{FORMAT}'; take the version that wrote it"]
        )
    return dict(values)


def parse_entry(content: bytes, name: str = ENTRY) -> Entry:
    """The entry in a file of that name. Raises `Refused` with all its problems."""
    parse_fields(content, name)
    try:
        return Entry.model_validate_json(content)
    except ValidationError as error:
        raise Refused(f"{name}: {problem}" for problem in sentences(error)) from None


def read_entry(folder: Path) -> Entry:
    """The entry in a folder. Raises `InputError`, in one sentence, if there is none."""
    path = folder / ENTRY
    return parse_entry(read_plain(path, MOST_BYTES), str(path))


def read_all(leaderboards: Path, track: str) -> tuple[list[Entry], list[str]]:
    """A track's entries, by name, and why others cannot be read, one sentence each."""
    entries, damaged = [], []
    for path in sorted((leaderboards / track).glob(f"[!.]*/{ENTRY}")):  # hidden ones are still being written
        try:
            entries.append(read_entry(path.parent))
        except Refused as refused:
            damaged.append(str(refused))
    return entries, damaged


def read_entries(leaderboards: Path, track: str) -> list[Entry]:
    """A track's entries, by name, without those that cannot be read."""
    return read_all(leaderboards, track)[0]
