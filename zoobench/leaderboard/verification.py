"""Verify a submission: read it with care, judge it anew, and compare the result with its claims."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_generation.files import write_json
from zoo_generation.text import quoted
from zoobench.leaderboard.answers import content_digest
from zoobench.leaderboard.entry import ENTRY, Entry, Fresh, Score, read_entries
from zoobench.leaderboard.judging import as_spelled, judge, judged_before
from zoobench.leaderboard.marks import Known, copy_of, marks_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.submission import Submission, most_bytes, read_submission
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.archive import opened
from zoobench.leaderboard.untrusted.files import AbsentError, Refused, folded
from zoobench.populations import Population

SPREAD = 5
"""Spread and bounds may differ by this many tolerances: they depend on differences, and on a few models drawn often."""

ROUNDING = 1e-9  # of a number: less comes from the order in which a library adds


@dataclass(frozen=True, eq=False)
class Verified:
    """A submission, and its entry after verification: with `content`, `scores` and `marks`.

    told: claims that differ from the computed values without refusing it, one sentence each.
    """

    entry: Entry
    submission: Submission
    told: tuple[str, ...]

    @property
    def known(self) -> Known:
        return Known(self.entry, self.submission.answers)


def verified(
    leaderboards: Path,
    track: Track,
    path: Path,
    data_root: Path | None,
    fetch: bool = False,
    before: Sequence[Known] = (),
    again: bool = True,
) -> Verified:
    """Judge a submission, a folder or a zip of one: its entry with `content`, and the computed scores.

    Its claims are compared, and never used. fetch: download an artefact that is missing; before: entries proposed along
    with it that came first; again: judge even what this process has judged. Raises `Refused` with all problems, or if
    it claims scores that differ by more than the track's tolerance; `AbsentError` if the artefact is only at an address
    and is not fetched; `InputError` if the track's references, or its images, cannot be read.
    """
    references = read_references(leaderboards, track)
    with opened(path, most_bytes(track, references)) as folder:
        read = read_submission(folder, track, references, fetch)
    submission = replace(read, answers=as_spelled(leaderboards, track, references, read.answers))
    claimed, within = submission.entry, is_within(leaderboards, track, path)
    entries = [each for each in read_entries(leaderboards, track.name) if each.name != claimed.name]
    if within:
        entries = [each for each in entries if _came_before(each, claimed)]
    problems = [*_of_another_version(track, claimed), *_misplaced(leaderboards, track, path, claimed)]
    content = content_digest(submission.answers)
    if claimed.content not in (None, content):
        problems.append(f"the entry's content is not that of its {track.artefact}; leave it out")
    problems += copies([*entries, *(known.entry for known in before)], claimed.name, content)
    if problems:  # judging takes longer than all these checks
        raise Refused(problems)
    asked = track, references, submission.answers, claimed.seeds, data_root
    scores = (None if again else judged_before(*asked)) or judge(*asked)
    scores = claimed.scores if _differ_by_rounding(claimed.scores, scores) else scores
    unranked = [score.target for score in scores if score.metric == track.metric and score.mean is None]
    if unranked:
        raise Refused(f"{track.metric} on {target} is not a number, as for constant predictions" for target in unranked)
    if claimed.scores and (problems := list(differences(claimed.scores, scores, track))):
        raise Refused(problems)
    others = [*before, *_answers_of(leaderboards, track, references, entries, fetch)]
    marks = marks_of(leaderboards, track, references, submission.answers, others)
    fresh = _fresh(leaderboards, track, claimed.name, content)
    entry = claimed.model_copy(update={"content": content, "scores": scores, "marks": marks, "fresh": fresh})
    return Verified(entry, submission, tuple(_told_of(claimed, entry)))


def record(folder: Path, found: Verified) -> None:
    """Write the computed values into a submission's folder, unless its entry has them already."""
    if found.submission.entry != found.entry:
        write_json(folder / ENTRY, found.entry.fields())


def _differ_by_rounding(claimed: Sequence[Score], computed: Sequence[Score]) -> bool:
    """Whether two machines, or two versions of a library, computed the same."""
    numbers = [
        [each for score in scores for each in (score.mean, score.std, score.low, score.high, *score.values)]
        for scores in (claimed, computed)
    ]
    keys = [[(score.target, score.metric, len(score.values)) for score in scores] for scores in (claimed, computed)]
    return keys[0] == keys[1] and all(
        one is other is None or (one is not None and other is not None and math.isclose(one, other, rel_tol=ROUNDING))
        for one, other in zip(*numbers, strict=True)
    )


def _told_of(claimed: Entry, computed: Entry) -> Iterator[str]:
    if claimed.scores and claimed.scores != computed.scores:
        yield "it claims other scores, within the track's tolerance; its entry has the computed ones now"
    yield from (f"marked: {mark}" for mark in computed.marks)


def _answers_of(
    leaderboards: Path, track: Track, references: Mapping[str, Population], entries: Sequence[Entry], fetch: bool
) -> list[Known]:
    """The answers of the track's entries, without those that cannot be read."""
    found = []
    for entry in entries:
        with suppress(Refused, AbsentError):
            submission = read_submission(leaderboards / track.name / entry.name, track, references, fetch)
            found.append(Known(entry, submission.answers))
    return found


def _fresh(leaderboards: Path, track: Track, name: str, content: str) -> Fresh | None:
    """The board's entry of this name and content; a submission's own claims do not count."""
    entries = read_entries(leaderboards, track.name)
    return next((each.fresh for each in entries if (each.name, each.content) == (name, content)), None)


def _came_before(other: Entry, entry: Entry) -> bool:
    """Of two entries on the board, whether the other one is the copy.

    Decided by date, as its author states it, unless one of them is marked already; proposals are always later than the
    board.
    """
    if any(mark.startswith(copy_of(entry.name)) for mark in other.marks):
        return False
    marked = any(mark.startswith(copy_of(other.name)) for mark in entry.marks)
    return marked or (other.date, other.name) < (entry.date, entry.name)


def copies(entries: Sequence[Entry], name: str, content: str) -> list[str]:
    """Whether another of a track's entries has the same content."""
    return [
        f"it has the same content as the entry '{other.name}' of the track; a submission must differ from all entries"
        for other in entries
        if other.content == content and other.name != name
    ]


def _of_another_version(track: Track, entry: Entry) -> list[str]:
    """Whether a submission is made for another version of the task."""
    if entry.task_version == track.task_version:
        return []
    return [
        f"the submission is for version {entry.task_version} of the task {track.task}, and the track has version "
        f"{track.task_version} now; run the method again"
    ]


def is_within(leaderboards: Path, track: Track, path: Path) -> bool:
    """Whether a folder is among the track's entries."""
    return path.resolve().parent == (leaderboards / track.name).resolve()


def _misplaced(leaderboards: Path, track: Track, path: Path, entry: Entry) -> list[str]:
    """Whether an entry of the track is in the folder of its name, and its name can be told from the others."""
    name = path.resolve().name
    if is_within(leaderboards, track, path) and name != entry.name:
        return [f"the entry is named '{entry.name}', and lies in the folder '{quoted(name)}'"]
    there = sorted(each.name for each in (leaderboards / track.name).iterdir() if each.is_dir())
    return [
        f"the name '{entry.name}' cannot be told from '{quoted(each)}', which the track has; choose another"
        for each in there
        if each != entry.name and folded(each) == folded(entry.name)
    ]


def differences(claimed: Sequence[Score], found: Sequence[Score], track: Track) -> Iterator[str]:
    """Claims that differ from the results of judging by more than the track allows, one sentence each."""
    by_key = {(score.target, score.metric): score for score in claimed}
    if len(by_key) < len(claimed):
        yield "the entry gives a score twice"
    wanted = {(score.target, score.metric): score for score in found}
    for target, metric in sorted(by_key.keys() - wanted.keys()):
        yield f"the entry gives a score of {quoted(metric)} on {target}, which the track does not have"
    for target, metric in sorted(wanted.keys() - by_key.keys()):
        yield f"the entry gives scores, but none of {metric} on {target}"
    for target, metric in sorted(wanted.keys() & by_key.keys()):
        tolerance = track.tolerances.get(metric, track.tolerance)
        yield from _differs(by_key[target, metric], wanted[target, metric], tolerance)


def _differs(claimed: Score, found: Score, tolerance: float) -> Iterator[str]:
    """The first value in which two scores differ."""
    if len(claimed.values) != len(found.values):
        given, wanted = len(claimed.values), len(found.values)
        yield f"the entry gives {given} values of {found.metric} on {found.target}, not {wanted}: one per seed"
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
        size = max(1.0, abs(computed or 0))  # scores in units of a zoo, such as distances, have no upper bound
        if (told is None) != (computed is None) or abs((told or 0) - (computed or 0)) > most * size:
            yield (
                f"the entry claims {_told(told)} as {name} of {found.metric} on {found.target}, but judging its "
                f"artefact gives {_told(computed)}"
            )
            return


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
