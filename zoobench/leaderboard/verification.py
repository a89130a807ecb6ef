"""Whether a submission is what it says it is: read with care, judged anew, and held against what it claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoobench.leaderboard.archive import opened
from zoobench.leaderboard.classes import as_spelled
from zoobench.leaderboard.entry import Entry, Score, read_entries
from zoobench.leaderboard.judging import content_digest, judge
from zoobench.leaderboard.reading import Submission, most_bytes, read_submission
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.refusal import Refused
from zoobench.leaderboard.track import Track
from zoobench.text import quoted

SPREAD = 5
"""Spread and bounds may differ by so many tolerances: they come of differences, and of a few models counted often."""


@dataclass(frozen=True, eq=False)
class Verified:
    """A submission, and its entry as verification makes it: with `content` and `scores`."""

    entry: Entry
    submission: Submission


def verify(leaderboards: Path, track: Track, path: Path, data_root: Path | None, fetch: bool = False) -> Entry:
    """Judge a submission, a folder or a zip of one, anew; its entry with `content` and the scores that came of it.

    fetch: download an artefact that is not there. Raises `Refused` with all that is wrong, or where it claims other
    scores; `AbsentError` where the artefact lies at an address and is not fetched; `InputError` where the track's
    references, or its images, cannot be read.
    """
    return verified(leaderboards, track, path, data_root, fetch).entry


def verified(leaderboards: Path, track: Track, path: Path, data_root: Path | None, fetch: bool = False) -> Verified:
    """As `verify`, with what was read, so that nobody has to read again what may have changed since."""
    references = read_references(leaderboards, track)
    with opened(path, most_bytes(track, references)) as folder:
        read = read_submission(folder, track, references, fetch)
    submission = replace(read, answers=as_spelled(leaderboards, track, references, read.answers))
    entry = submission.entry
    problems = _misplaced(leaderboards, track, path, entry)
    content = content_digest(submission.answers)
    if entry.content not in (None, content):
        problems.append(f"the entry's content is not that of its {track.artefact}; leave it out")
    problems += copies(read_entries(leaderboards, track.name), entry.name, content)
    if problems:  # judging takes longer than all of this
        raise Refused(problems)
    scores = judge(track, references, submission.answers, entry.seeds, data_root)
    unranked = [score.target for score in scores if score.metric == track.metric and score.mean is None]
    if unranked:
        raise Refused(f"{track.metric} on {target} is no number, as of constant predictions" for target in unranked)
    if entry.scores and (problems := list(differences(entry.scores, scores, track.tolerance))):
        raise Refused(problems)
    return Verified(entry.model_copy(update={"content": content, "scores": scores}), submission)


def copies(entries: Sequence[Entry], name: str, content: str) -> list[str]:
    """Whether another of a track's entries holds the same."""
    return [
        f"it holds the same as the entry '{other.name}' of the track; a submission differs from those that are there"
        for other in entries
        if other.content == content and other.name != name
    ]


def _misplaced(leaderboards: Path, track: Track, path: Path, entry: Entry) -> list[str]:
    folder = path.resolve()
    if folder.parent == (leaderboards / track.name).resolve() and folder.name != entry.name:
        return [f"the entry is named '{entry.name}', and lies in the folder '{quoted(folder.name)}'"]
    return []


def differences(claimed: Sequence[Score], found: Sequence[Score], tolerance: float) -> Iterator[str]:
    """What was claimed and does not come of judging, a sentence each."""
    by_key = {(score.target, score.metric): score for score in claimed}
    if len(by_key) < len(claimed):
        yield "the entry gives a score twice"
    wanted = {(score.target, score.metric): score for score in found}
    for target, metric in sorted(by_key.keys() - wanted.keys()):
        yield f"the entry gives a score of {quoted(metric)} on {target}, which the track does not have"
    for target, metric in sorted(wanted.keys() - by_key.keys()):
        yield f"the entry gives scores, and none of {metric} on {target}"
    for target, metric in sorted(wanted.keys() & by_key.keys()):
        yield from _differs(by_key[target, metric], wanted[target, metric], tolerance)


def _differs(claimed: Score, found: Score, tolerance: float) -> Iterator[str]:
    """The first value in which two scores differ."""
    if len(claimed.values) != len(found.values):
        given, wanted = len(claimed.values), len(found.values)
        yield f"the entry gives {given} values of {found.metric} on {found.target}, and must give {wanted}: one a seed"
        return
    pairs = [("mean", claimed.mean, found.mean, tolerance)]
    pairs += [
        (f"value {place}", *both, tolerance)
        for place, both in enumerate(zip(claimed.values, found.values, strict=True))
    ]
    pairs += [
        (name, getattr(claimed, name), getattr(found, name), SPREAD * tolerance) for name in ("std", "low", "high")
    ]
    for name, told, computed, most in pairs:
        if (told is None) != (computed is None) or abs((told or 0) - (computed or 0)) > most:
            yield (
                f"the entry claims {_told(told)} as {name} of {found.metric} on {found.target}, and judging its "
                f"artefact gives {_told(computed)}"
            )
            return


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
