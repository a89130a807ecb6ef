"""Assemble a submission, verify it, and put it where it is to go."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_generation.files import write_json
from zoobench.cli.console import console, stages
from zoobench.cli.leaderboards import track_table
from zoobench.leaderboard import read_entries, read_entry
from zoobench.leaderboard.assembly import assemble
from zoobench.leaderboard.board import add
from zoobench.leaderboard.entry import ENTRY
from zoobench.leaderboard.untrusted.archive import pack
from zoobench.leaderboard.verification import verify


def submit(
    source: Path,
    said: Mapping[str, Any],
    leaderboards: Path,
    data_root: Path | None,
    *,
    check: bool,
    out: Path | None,
    replace: bool,
    url: str | None,
) -> None:
    """Check a submission, write it as a zip file, or add it to the leaderboards; tell all that is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="zoobench-") as temporary:
        folder = Path(temporary)
        track = assemble(source, folder, leaderboards, said, url)
        with stages() as stage:
            stage(f"judging it on {track.name}")
            if check or out is not None:
                entry = verify(leaderboards, track, folder, data_root, fetch=url is not None)
            else:
                place = add(leaderboards, track, folder, data_root, replace, fetch=url is not None)
                entry = read_entry(place)
        others = [each for each in read_entries(leaderboards, track.name) if each.name != entry.name]
        console.print(track_table(track, [*others, entry], {entry.name}))
        if entry.marks:
            console.print(f"It is marked, and takes no place: {'; '.join(entry.marks)}", soft_wrap=True)
        if out is not None:
            write_json(folder / ENTRY, entry.fields())
            pack(folder, (ENTRY, track.artefact), out)
            console.print(f"Submission: {out} (zoobench submit {out})", soft_wrap=True)
        elif check:
            console.print("Nothing is wrong with it; without --check it goes into the leaderboards")
        else:
            console.print(f"Entry: {place}; commit it, and open a pull request", soft_wrap=True)
