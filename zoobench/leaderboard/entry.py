"""What an entry of a leaderboard says: who submitted what, and the scores that verification gave it."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from zoo_generation.settings import Fields, Name, sentences
from zoo_generation.text import quoted
from zoobench.leaderboard.track import Digest
from zoobench.leaderboard.untrusted.files import portable, read_plain
from zoobench.leaderboard.untrusted.refusal import Refused

FORMAT: Literal["zoobench-submission/1"] = "zoobench-submission/1"
ENTRY = "entry.json"
MOST_BYTES = 200_000
"""Of `entry.json`."""

UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Letters that are not seen, and change what is: they steer a terminal, break a line, turn text around."""


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
"""One line of text, in any script; it may hold markup, which means nothing."""

Author = Annotated[str, Field(min_length=1, max_length=80), SEEN]
Mark = Annotated[str, Field(min_length=1, max_length=200), SEEN]
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # of a host's name


def reachable(url: str) -> str:
    """An address, as it was given; raises `ValueError` where its host or its port can be none."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if len(host) > 253 or not re.fullmatch(rf"{LABEL}(\.{LABEL})*", host):
        raise ValueError(f"'{quoted(host)}' is no host; give https://host/path")
    if parts.port == 0:  # others that are none are told by `port` itself
        raise ValueError("Port out of range 1-65535")
    return url


Link = Annotated[
    str,
    Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,9})?(/[!-~]*)?$", max_length=300),
    AfterValidator(reachable),
]


class Score(Fields):
    """One metric on one target, over seeds.

    values: one a seed; std: Bessel's, none for one seed; low, high: a 95 % interval by a bootstrap over seeds and
    models, none where there is none.
    """

    target: Name
    metric: Annotated[str, Field(max_length=60), SEEN]
    mean: FiniteFloat | None
    std: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    values: Annotated[tuple[FiniteFloat | None, ...], Field(min_length=1, max_length=100)]


class Artefact(Fields):
    """The file that is judged: beside the entry, or, where it is too large for that, at an address."""

    sha256: Digest
    bytes: PositiveInt
    url: Link | None = None


class Fresh(Fields):
    """The scores that the entry's method has on the track's zoos, built anew from another seed by the verifier."""

    seed: NonNegativeInt
    date: datetime.date
    scores: Annotated[tuple[Score, ...], Field(max_length=1000)]


class Entry(Fields):
    """A submission; with `content`, `scores` and `marks`, once it was verified.

    name: of its folder; method: as it is shown; seeds: those of the track, or its first alone, of a method that knows
    no chance; content: of what the artefact holds, whatever its bytes: two entries of a track have not the same; marks:
    what of it is nobody's own, see `marks_of`; fresh: none where it is only recorded.
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
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1, max_length=100)]
    command: Annotated[str, Field(max_length=500), SEEN] = ""
    hardware: Annotated[str, Field(max_length=200), SEEN] = ""
    versions: Annotated[
        dict[Annotated[str, Field(max_length=40), SEEN], Annotated[str, Field(max_length=40), SEEN]],
        Field(max_length=20),
    ] = Field(default_factory=dict)
    date: datetime.date
    artefact: Artefact
    content: Digest | None = None
    scores: Annotated[tuple[Score, ...], Field(max_length=1000)] = ()
    marks: Annotated[tuple[Mark, ...], Field(max_length=1000)] = ()
    fresh: Fresh | None = None

    @property
    def is_ranked(self) -> bool:
        """Whether it takes a place: a baseline, and what verification marks, is a line beside those that do."""
        return not self.baseline and not self.marks

    def fields(self) -> dict[str, Any]:
        """What stands in its file; what only some entries have, in these alone."""
        return self.model_dump(mode="json", exclude={name for name in ("marks", "fresh") if not getattr(self, name)})

    def of_metric(self, metric: str) -> dict[str, Score]:
        """Scores by target."""
        return by_target(self.scores, metric)

    def mean(self, metric: str) -> float:
        """Mean of a metric over the targets that are given; not a number where one has none, or none is given."""
        return mean_of(self.scores, metric)


def by_target(scores: Sequence[Score], metric: str) -> dict[str, Score]:
    """Those of a metric."""
    return {score.target: score for score in scores if score.metric == metric}


def mean_of(scores: Sequence[Score], metric: str) -> float:
    """Mean of a metric over the targets that are given; not a number where one has none, or none is given."""
    means = [math.nan if score.mean is None else score.mean for score in by_target(scores, metric).values()]
    return sum(means) / len(means) if means else math.nan


def parse_fields(content: bytes, name: str = ENTRY) -> dict[str, Any]:
    """The fields that a file of that name holds; raises `Refused` for anything else, and for another format."""
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
    """The entry that a file of that name holds; raises `Refused` with all that is wrong with it."""
    parse_fields(content, name)
    try:
        return Entry.model_validate_json(content)
    except ValidationError as error:
        raise Refused(f"{name}: {problem}" for problem in sentences(error)) from None


def read_entry(folder: Path) -> Entry:
    """The entry in a folder; raises `InputError`, in a sentence, where it is none."""
    path = folder / ENTRY
    return parse_entry(read_plain(path, MOST_BYTES), str(path))


def read_all(leaderboards: Path, track: str) -> tuple[list[Entry], list[str]]:
    """A track's entries, by name, and why others cannot be read, a sentence each."""
    entries, damaged = [], []
    for path in sorted((leaderboards / track).glob(f"[!.]*/{ENTRY}")):  # what is hidden is being written
        try:
            entries.append(read_entry(path.parent))
        except Refused as refused:
            damaged.append(str(refused))
    return entries, damaged


def read_entries(leaderboards: Path, track: str) -> list[Entry]:
    """A track's entries, by name, without those that cannot be read."""
    return read_all(leaderboards, track)[0]


def ranked(entries: Sequence[Entry], metric: str, tolerance: float) -> list[tuple[int | None, Entry]]:
    """Best first, each with its place; baselines, marked entries and those without a score have none.

    Scores that differ from the best of a place by less than the tolerance are ties: they share it, the earliest first.
    """
    found: list[tuple[float, int | None, Entry]] = []
    best, place = math.inf, 0
    means = sorted(((entry.mean(metric), entry) for entry in entries), key=lambda each: -_or_least(each[0]))
    for before, (mean, entry) in enumerate(
        (each for each in means if each[1].is_ranked and not math.isnan(each[0])), 1
    ):
        if mean != best and best - mean >= tolerance:
            best, place = mean, before
        found.append((best, place, entry))
    found += [(_or_least(mean), None, entry) for mean, entry in means if math.isnan(mean) or not entry.is_ranked]
    found.sort(key=lambda each: (-each[0], each[1] is None, each[2].date, each[2].name))
    return [(place, entry) for _, place, entry in found]


def leading(entries: Sequence[Entry], metric: str, tolerance: float) -> tuple[Entry | None, Entry | None]:
    """The best method, and the best baseline, of those that have a score."""
    order = [
        (place, entry) for place, entry in ranked(entries, metric, tolerance) if not math.isnan(entry.mean(metric))
    ]
    method = next((entry for place, entry in order if place is not None), None)
    return method, next((entry for _, entry in order if entry.baseline), None)


def _or_least(mean: float) -> float:
    return -math.inf if math.isnan(mean) else mean
