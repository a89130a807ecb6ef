"""Submissions: read untrusted folders with bounded effort, and put a submission together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.files import write_json
from zoo_generation.text import shown
from zoobench import __version__
from zoobench.leaderboard.answers import Answers, most_artefact_bytes, read_answers
from zoobench.leaderboard.entry import ENTRY, FORMAT, MOST_BYTES, Entry, parse_entry, parse_fields
from zoobench.leaderboard.reference import is_recorded, read_references
from zoobench.leaderboard.track import Track, read_track, read_tracks
from zoobench.leaderboard.untrusted.archive import opened
from zoobench.leaderboard.untrusted.fetching import fetched
from zoobench.leaderboard.untrusted.files import AbsentError, Refused, check_folder, read_plain
from zoobench.populations import Access, Population

NEEDED = ("name", "authors", "licence")
ARTEFACTS = (".parquet", ".safetensors")


@dataclass(frozen=True, eq=False)
class Submission:
    """What was read: the entry, the artefact's bytes, and the answers in them.

    beside: whether the artefact was beside the entry, and not only at an address.
    """

    entry: Entry
    artefact: bytes
    answers: Answers
    beside: bool


def most_bytes(track: Track, references: Mapping[str, Population]) -> dict[str, int]:
    """The largest number of bytes of each file that a submission to a track may hold, by its name."""
    return {ENTRY: MOST_BYTES, track.artefact: most_artefact_bytes(track, references)}


def read_submission(
    folder: Path, track: Track, references: Mapping[str, Population], fetch: bool = False
) -> Submission:
    """Read a folder. An artefact that is missing there is fetched from its address if `fetch` is set.

    Raises `Refused` with all problems, and `AbsentError` if the artefact is missing and not fetched.
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
        content = fetched(entry.artefact.url, entry.artefact.sha256, entry.artefact.bytes)
    else:
        raise AbsentError(
            f"{track.artefact} of {entry.name} is not in the repository, but at {entry.artefact.url}; it can be "
            "verified with --fetch"
        )
    problems += wrong_artefact(entry, track.artefact, content)
    if problems:
        raise Refused(problems)
    return Submission(entry, content, read_answers(track, references, entry.seeds, content), beside)


def _wrong_entry(entry: Entry, track: Track, most: int) -> list[str]:
    """The problems of an entry of the track. Raises `Refused` if it is of another track."""
    if entry.track != track.name:
        raise Refused([f"the entry is of the track '{entry.track}', but was submitted to '{track.name}'"])
    problems = []
    if entry.seeds not in (track.all_seeds, track.all_seeds[:1]):
        wanted = " or ".join(f"{list(seeds)}" for seeds in (track.all_seeds, track.all_seeds[:1]))
        problems.append(f"the entry has the seeds {str(list(entry.seeds))[:60]}; the track's are {wanted}")
    if entry.access is not None and Access[entry.access.upper()] > Access[track.access.upper()]:
        problems.append(f"the entry's method saw {entry.access}, and the track allows {track.access} at most")
    if entry.artefact.bytes > most:
        problems.append(f"the entry's artefact has {entry.artefact.bytes} bytes, but the track allows {most}")
    return problems


def wrong_artefact(entry: Entry, name: str, content: bytes) -> list[str]:
    """Signs that an artefact is not the one that the entry describes, one sentence each."""
    problems = []
    if len(content) != entry.artefact.bytes:
        problems.append(f"{name} has {len(content)} bytes, but the entry says {entry.artefact.bytes}; pack it anew")
    if hashlib.sha256(content).hexdigest() != entry.artefact.sha256:
        problems.append(f"{name} is not the file that the entry describes: its SHA-256 differs; pack it anew")
    return problems


def assemble(source: Path, folder: Path, leaderboards: Path, said: Mapping[str, Any], url: str | None) -> Track:
    """Put a submission into an empty folder, ready to be verified. Returns its track.

    source: a folder with an entry, which may lack the fields in `said`, a zip of one, or a single artefact; said:
    fields that replace the entry's own; url: address of the artefact, if it is to be left out. Raises `InputError` if
    the source is none of these, or no track is named.
    """
    if source.suffix in ARTEFACTS and source.is_file():
        track = _track(leaderboards, said)
        here = {"seeds": list(track.all_seeds), "task_version": track.task_version}
        _write(folder, leaderboards, track, here | {"versions": {"zoobench": __version__}} | dict(said), source, url)
        return track
    if source.is_dir() or source.suffix == ".zip":
        most = _most(leaderboards, _told(source))
        with opened(source, most) as there:
            check_folder(there, most)
            return _from_folder(there, folder, leaderboards, said, url)
    raise InputError(
        f"{source} is not a submission; give the folder that 'zoobench eval --track' wrote, a zip file of one, or "
        "predictions.parquet or weights.safetensors with --track"
    )


def _from_folder(source: Path, folder: Path, leaderboards: Path, said: Mapping[str, Any], url: str | None) -> Track:
    fields = parse_fields(read_plain(source / ENTRY, MOST_BYTES))
    if (wanted := said.get("track")) and fields.get("track") not in (None, wanted):
        raise InputError(f"the submission is of the track {shown(fields['track'])[:60]}, but --track says {wanted}")
    fields |= said
    track = _track(leaderboards, fields)
    artefact = source / track.artefact
    _write(folder, leaderboards, track, fields, artefact if artefact.exists() else None, url)
    return track


def _write(
    folder: Path, leaderboards: Path, track: Track, fields: Mapping[str, Any], artefact: Path | None, url: str | None
) -> None:
    """Write entry and artefact, with defaults for fields that everyone would fill in alike."""
    name = fields.get("name", "")
    fields = {"format": FORMAT, "method": name, "date": datetime.now(UTC).date().isoformat()} | dict(fields)
    if artefact is not None:
        content = read_plain(artefact, most_bytes(track, read_references(leaderboards, track))[track.artefact])
        told = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        if url is None:
            (folder / track.artefact).write_bytes(content)
            fields = {"artefact": told} | fields
        else:
            fields = fields | {"artefact": told | {"url": url}}
    if missing := [field for field in NEEDED if not fields.get(field)]:
        raise Refused(f"the submission does not say its {field}; give --{field}" for field in missing)
    write_json(folder / ENTRY, fields)


def _track(leaderboards: Path, fields: Mapping[str, Any]) -> Track:
    name = fields.get("track")
    if not isinstance(name, str):
        raise InputError("the submission does not say which track it is of; give --track")
    return read_track(leaderboards, name)


def _told(source: Path) -> object:
    """The track's name in the entry of a folder; None if it cannot be read, as in an archive."""
    if not source.is_dir():
        return None
    try:
        return parse_fields(read_plain(source / ENTRY, MOST_BYTES)).get("track")
    except InputError:  # which is told once the folder was checked
        return None


def _most(leaderboards: Path, wanted: object) -> dict[str, int]:
    """The largest file sizes in a submission to the recorded track of that name, or to any if there is none."""
    most: dict[str, int] = {}
    recorded = [track for track in read_tracks(leaderboards) if is_recorded(leaderboards, track)]
    for track in [track for track in recorded if track.name == wanted] or recorded:
        for name, size in most_bytes(track, read_references(leaderboards, track)).items():
            most[name] = max(size, most.get(name, 0))
    return most
