"""Write what a method may read of a track."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoobench.cli.console import console, stages
from zoobench.cli.studying import Place, build_zoos
from zoobench.leaderboard import Track
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.running import study_of
from zoobench.populations import TokenSet
from zoobench.studies.sources import sources_of


def export_track(track: Track, out: Path, leaderboards: Path, place: Place) -> None:
    """Build what is missing of a track's zoos, and write the folder `out`."""
    references = read_references(leaderboards, track)
    sources = sources_of(study_of(leaderboards, track), place.home / "zoos")
    sets = {name: TokenSet.read(path) for name, path in build_zoos(sources, place).items()}
    zoos = {name: replace(tokens.populations[0], name=name) for name, tokens in sets.items()}
    with stages() as stage:
        stage(f"writing {out}")
        export_data(out, track, zoos, references, next(iter(sets.values())).token_size, place.data_root)
    console.print(f"What a method may read, and what it is asked for: {out}/README.md", soft_wrap=True)
