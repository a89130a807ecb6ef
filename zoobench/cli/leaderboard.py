"""`zoobench leaderboard`: tracks, and who stands where on them."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards.")


@app.callback()
def leaderboard() -> None:
    """Look at leaderboards."""
