"""A submission as it is handed in, a folder that nobody vouches for, read with bounded effort."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoobench.leaderboard import asked
from zoobench.leaderboard.entry import ENTRY, MOST_BYTES, Entry, parse_entry
from zoobench.leaderboard.fetching import fetched
from zoobench.leaderboard.judging import Answers
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted import tables, tensors
from zoobench.leaderboard.untrusted.files import check_folder, read_plain
from zoobench.leaderboard.untrusted.refusal import AbsentError, Refused
from zoobench.populations import Population


@dataclass(frozen=True, eq=False)
class Submission:
    """What was read: the entry, the artefact's bytes, and the answers that they hold.

    beside: whether the artefact lay beside the entry, and not at an address alone.
    """

    entry: Entry
    artefact: bytes
    answers: Answers
    beside: bool


def most_bytes(track: Track, references: Mapping[str, Population]) -> dict[str, int]:
    """By the name of each file that a submission to a track may hold, how many bytes it has at most."""
    if track.holds == "weights":
        most = tensors.most_weight_bytes(tensors.shapes_of(track, references, track.all_seeds))
    else:
        most = tables.most_table_bytes(asked.rows_of(track, references, track.all_seeds))
    return {ENTRY: MOST_BYTES, track.artefact: most}


def read_submission(
    folder: Path, track: Track, references: Mapping[str, Population], fetch: bool = False
) -> Submission:
    """Read a folder; an artefact that is not there is fetched from its address, where `fetch` says so.

    Raises `Refused` with all that is wrong, and `AbsentError` where the artefact is not there, and not fetched.
    """
    most = most_bytes(track, references)
    check_folder(folder, most)
    entry = parse_entry(read_plain(folder / ENTRY, most[ENTRY]))
    problems = _wrong_entry(entry, track, most[track.artefact])
    path = folder / track.artefact
    beside = path.exists()
    if beside:
        content = read_plain(path, most[track.artefact])
    elif entry.artefact.url is None:
        raise Refused([*problems, f"{track.artefact} is missing, and the entry gives no address for it"])
    elif problems:
        raise Refused(problems)
    elif fetch:
        content = fetched(entry.artefact)
    else:
        raise AbsentError(
            f"{track.artefact} of {entry.name} is not in the repository, but at {entry.artefact.url}; it can be "
            "verified with --fetch"
        )
    problems += wrong_artefact(entry, track.artefact, content)
    if problems:
        raise Refused(problems)
    return Submission(entry, content, read_answers(entry, track, references, content), beside)


def read_answers(entry: Entry, track: Track, references: Mapping[str, Population], content: bytes) -> Answers:
    """What an artefact holds; raises `Refused` for anything but what the track asks for."""
    if track.holds == "weights":
        shapes = tensors.shapes_of(track, references, entry.seeds)
        weights = tensors.read_weights(track.artefact, content, shapes)
        return {
            (target, seed): tensors.as_judged(track, references[target], weights[f"{target}/{seed}"])
            for target in track.targets
            for seed in entry.seeds
        }
    expected = asked.rows_of(track, references, entry.seeds)
    most = tables.most_table_bytes(expected)
    rows = len(expected[asked.KEY].drop_duplicates())
    table = tables.read_table(track.artefact, content, rows, most)
    return asked.answers_of(track.artefact, table, expected)


def _wrong_entry(entry: Entry, track: Track, most: int) -> list[str]:
    """What is wrong with an entry, as one of the track; raises `Refused` where it is of another."""
    if entry.track != track.name:
        raise Refused([f"the entry is of the track '{entry.track}', and was handed in for '{track.name}'"])
    problems = []
    if entry.seeds not in (track.all_seeds, track.all_seeds[:1]):
        wanted = " or ".join(f"{list(seeds)}" for seeds in (track.all_seeds, track.all_seeds[:1]))
        problems.append(f"the entry has the seeds {str(list(entry.seeds))[:60]}; the track's are {wanted}")
    if entry.artefact.bytes > most:
        problems.append(f"the entry's artefact has {entry.artefact.bytes} bytes, and the track allows {most}")
    return problems


def wrong_artefact(entry: Entry, name: str, content: bytes) -> list[str]:
    """What tells that an artefact is not the one that the entry tells of, a sentence each."""
    problems = []
    if len(content) != entry.artefact.bytes:
        problems.append(f"{name} has {len(content)} bytes, and the entry says {entry.artefact.bytes}; pack it anew")
    if hashlib.sha256(content).hexdigest() != entry.artefact.sha256:
        problems.append(f"{name} is not the file that the entry tells of: its SHA-256 is another; pack it anew")
    return problems
