"""Tracks, entries, submissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.progress import QUIET, Progress
from zoobench.api.methods import get_method

if TYPE_CHECKING:
    import pandas as pd

    from zoobench.leaderboard import Entry, Finding
    from zoobench.methods import Method
    from zoobench.zoo.workspace import Workspace


def run_track(
    method: str | Method,
    track: str,
    *,
    preset: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **settings: Any,
) -> Entry:
    """Measure a method on a track of the leaderboards; `results/<track>/<method>/` then holds what can be handed in."""
    from zoobench.leaderboard import read_track, run_track
    from zoobench.zoo.workspace import Workspace

    workspace, chosen = workspace or Workspace(), get_method(method)
    found = read_track(workspace.leaderboards, track)
    return run_track(chosen, found, workspace, progress, chosen.config(preset, settings))


def submit(
    source: str | Path,
    *,
    check: bool = False,
    out: str | Path | None = None,
    replace: bool = False,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **said: Any,
) -> Entry:
    """Judge a submission and put it into its track; returns the entry with its scores.

    source: a folder that `run_track` wrote, a zip file, or an artefact; check: only judge it; out: write one zip file
    instead; replace: take the place of the entry of that name; said: fields of the entry, such as `authors`, `licence`.
    Raises `InputError` with all that is wrong.
    """
    from zoobench.leaderboard import submit
    from zoobench.zoo.workspace import Workspace

    target = None if out is None else Path(out)
    return submit(
        Path(source), workspace or Workspace(), check=check, out=target, replace=replace, progress=progress, **said
    )


def load_leaderboard(track: str, *, metric: str | None = None, workspace: Workspace | None = None) -> pd.DataFrame:
    """A track's entries: one row per entry and target, best first by the metric; None for the track's own."""
    from zoobench.leaderboard import leaderboard
    from zoobench.zoo.workspace import Workspace

    return leaderboard(track, workspace or Workspace(), metric)


def verify(
    names: Sequence[str] = (),
    *,
    proposed: str | Path | None = None,
    fetch: bool = False,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> list[Finding]:
    """Compute the scores of entries anew from what they hold. names: tracks, or `track/entry`; none for all."""
    from zoobench.leaderboard import verify
    from zoobench.zoo.workspace import Workspace

    other = None if proposed is None else Path(proposed)
    return verify(names, workspace or Workspace(), proposed=other, fetch=fetch, progress=progress)
