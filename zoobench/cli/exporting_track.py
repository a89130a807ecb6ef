"""Write what a method may read of a track."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoo_generation.cluster import Resources
from zoobench.ablation.bench import token_sets
from zoobench.ablation.sources import sources_of
from zoobench.cli.building import build
from zoobench.cli.console import console, stages
from zoobench.leaderboard import Track
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.running import study_of
from zoobench.tokens import TokenSet


def export_track(track: Track, out: Path, home: Path, leaderboards: Path, data_root: Path | None) -> None:
    """Build what is missing of a track's zoos, and write the folder `out`."""
    references = read_references(leaderboards, track)
    sources = sources_of(study_of(leaderboards, track), home / "zoos")
    for source in sources.values():
        assert source.spec is not None, "a track's zoo is made from a spec"
        build(source.spec, source.path, data_root=data_root, resources=Resources.of("auto", 1, None))
    with stages() as stage:
        sets = {name: TokenSet.read(path) for name, path in token_sets(sources, home / "runs/tokens", stage).items()}
        zoos = {name: replace(tokens.populations[0], name=name) for name, tokens in sets.items()}
        stage(f"writing {out}")
        export_data(out, track, zoos, references, next(iter(sets.values())).token_size, data_root)
    console.print(f"What a method may read, and what it is asked for: {out}/README.md", soft_wrap=True)
