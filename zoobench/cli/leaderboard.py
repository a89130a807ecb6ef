"""`zoobench leaderboard`: look at what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import Home

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards.")

EXAMPLES = """
Examples:

  zoobench leaderboard show

  zoobench leaderboard show generation-mnist+cifar10-cnn_s
"""


@app.callback()
def leaderboard() -> None:
    """Look at leaderboards."""


@app.command(epilog=EXAMPLES)
def show(
    track: Annotated[str | None, typer.Argument(help="One track.", show_default="all of them")] = None,
    home: Home = Path(),
) -> None:
    """Print the entries of a track, or of every track, best first."""
    from zoo_generation.errors import InputError
    from zoobench.cli.console import console
    from zoobench.cli.ranking import track_table
    from zoobench.leaderboard import read_track, track_names

    folder = home / "leaderboards"
    tracks = [track] if track else track_names(folder)
    if not tracks:
        raise InputError(f"there are no leaderboard entries under {folder}; make some with 'zoobench eval'")
    for name in tracks:
        console.print(track_table(name, read_track(folder, name)))
