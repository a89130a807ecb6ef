"""`zoobench leaderboard`: tracks, and who stands where on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import CpusPerJob, DataRoot, Device, Home, Tracks

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards, verify them, build what they are made of.")


@app.callback()
def leaderboard() -> None:
    """Look at leaderboards."""


REBUILD = """
Examples:

  zoobench leaderboard rebuild generation-id

  zoobench leaderboard rebuild all --record
"""


@app.command(epilog=REBUILD)
def rebuild(
    tracks: Tracks,
    record: Annotated[
        bool, typer.Option("--record", help="Take what was built for what the tracks mean: for those who keep them.")
    ] = False,
    data_root: DataRoot = None,
    home: Home = Path(),
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
) -> None:
    """Build the zoos of tracks from their specs, and compare them with what was recorded; exit code 1: they differ."""
    from zoo_generation.cluster import Resources
    from zoobench.cli.options import chosen_tracks
    from zoobench.cli.rebuilding import rebuild as rebuild_zoos

    folder = home / "leaderboards"
    resources = Resources.of(device, cpus_per_job, None)
    same = rebuild_zoos(chosen_tracks(tracks, folder), home, folder, data_root, resources, record)
    raise typer.Exit(0 if same else 1)
