"""A submission made of what a run wrote, or of a user's own file, and of what is said about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.files import write_json
from zoo_generation.text import shown
from zoobench.leaderboard.entry import ENTRY, FORMAT, MOST_BYTES, parse_fields
from zoobench.leaderboard.reading import most_bytes
from zoobench.leaderboard.reference import is_recorded, read_references
from zoobench.leaderboard.track import Track, read_track, read_tracks
from zoobench.leaderboard.untrusted.archive import opened
from zoobench.leaderboard.untrusted.files import check_folder, read_plain
from zoobench.leaderboard.untrusted.refusal import Refused

NEEDED = ("name", "authors", "licence")
ARTEFACTS = (".parquet", ".safetensors")


def assemble(source: Path, folder: Path, leaderboards: Path, said: Mapping[str, Any], url: str | None) -> Track:
    """Put a submission into an empty folder, ready to be verified; the track that it is of.

    source: a folder with an entry, which may lack what `said` has, a zip of one, or an artefact alone; said: fields
    that take the place of the entry's own; url: where the artefact lies, if it is to be left out. Raises `InputError`
    where the source is none of these, or no track is named.
    """
    if source.suffix in ARTEFACTS and source.is_file():
        track = _track(leaderboards, said)
        _write(folder, leaderboards, track, {"seeds": list(track.all_seeds)} | dict(said), source, url)
        return track
    if source.is_dir() or source.suffix == ".zip":
        most = _most_of_all(leaderboards)
        with opened(source, most) as there:
            check_folder(there, most)
            return _from_folder(there, folder, leaderboards, said, url)
    raise InputError(
        f"{source} is no submission; give the folder that 'zoobench eval --track' wrote, a zip file of one, or "
        "predictions.parquet or weights.safetensors with --track"
    )


def _from_folder(source: Path, folder: Path, leaderboards: Path, said: Mapping[str, Any], url: str | None) -> Track:
    fields = parse_fields(read_plain(source / ENTRY, MOST_BYTES))
    if (wanted := said.get("track")) and fields.get("track") not in (None, wanted):
        raise InputError(f"the submission is of the track {shown(fields['track'])[:60]}, and --track says {wanted}")
    fields |= said
    track = _track(leaderboards, fields)
    artefact = source / track.artefact
    _write(folder, leaderboards, track, fields, artefact if artefact.exists() else None, url)
    return track


def _write(
    folder: Path, leaderboards: Path, track: Track, fields: Mapping[str, Any], artefact: Path | None, url: str | None
) -> None:
    """Write entry and artefact; what everyone would say the same is filled in."""
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


def _most_of_all(leaderboards: Path) -> dict[str, int]:
    """Bytes that files may have in a submission to any track: which it is, is in it."""
    most: dict[str, int] = {}
    for track in read_tracks(leaderboards):
        if is_recorded(leaderboards, track):
            for name, size in most_bytes(track, read_references(leaderboards, track)).items():
                most[name] = max(size, most.get(name, 0))
    return most
