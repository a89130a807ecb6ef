"""Write what a method may read of a track."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoobench.cli.console import console, shown_progress
from zoobench.evaluation.cells import prepare
from zoobench.leaderboard import Track
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.running import study_of
from zoobench.zoo.workspace import Workspace


def export_track(track: Track, out: Path, leaderboards: Path, place: Workspace) -> None:
    """Build what is missing of a track's zoos, and write the folder `out`."""
    references = read_references(leaderboards, track)
    plan = study_of(leaderboards, track).plan(place)
    with shown_progress() as progress:
        cells = prepare(plan.origins, place, progress)
        zoos = {origin.name: replace(cells.population(origin), name=origin.name) for origin in plan.origins}
        progress.stage(f"writing {out}")
        export_data(out, track, zoos, references, cells.token_size, place.data_root)
    console.print(f"What a method may read, and what it is asked for: {out}/README.md", soft_wrap=True)
