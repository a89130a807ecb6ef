"""Tracks, entries, submissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.progress import QUIET, Progress
from zoobench.api.methods import get_method

if TYPE_CHECKING:
    import pandas as pd

    from zoobench.leaderboard import Board, Entry, Finding, Track
    from zoobench.leaderboard.board import Difference
    from zoobench.leaderboard.rebuilding import Rebuilt, Refreshed
    from zoobench.methods import Method
    from zoobench.zoo.workspace import Workspace


def get_track(name: str, *, workspace: Workspace | None = None) -> Track:
    """The track of that name in the workspace's `leaderboards/`: what it asks for, and of which zoos.

    Raises `InputError` if there is no such track.

    >>> get_track("generation").rules  # doctest: +SKIP
    """
    from zoobench.leaderboard import read_track
    from zoobench.zoo.workspace import Workspace

    return read_track((workspace or Workspace()).leaderboards, name)


def run_track(
    method: str | Method,
    track: str,
    *,
    preset: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **settings: Any,
) -> Entry:
    """Measure a method on a track of the leaderboards; `results/<track>/<method>/` then holds what can be handed in.

    Raises `InputError` if there is no such method, track or setting, and if the method does not do what the track asks.

    >>> run_track("pca", "property-id")  # doctest: +SKIP
    """
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
    url: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    **said: Any,
) -> Entry:
    """Judge a submission and put it into its track; returns the entry with its scores.

    source: a folder that `run_track` wrote, a zip file, or an artefact; check: only judge it; out: write one zip file
    instead; replace: take the place of the entry of that name; url: where the artefact lies, if it is too large for
    git; said: fields of the entry, such as `authors`, `licence`. Raises `InputError` with all that is wrong.

    >>> submit("results/property-id/pca", authors=["A. Author"], licence="MIT")  # doctest: +SKIP
    """
    from zoobench.leaderboard import submit
    from zoobench.zoo.workspace import Workspace

    workspace, target = workspace or Workspace(), None if out is None else Path(out)
    return submit(Path(source), workspace, check=check, out=target, replace=replace, url=url, progress=progress, **said)


def load_leaderboard(track: str, *, metric: str | None = None, workspace: Workspace | None = None) -> pd.DataFrame:
    """A track's entries: one row per entry and target, best first by the metric; None for the track's own.

    Raises `InputError` if there is no such track or metric.

    >>> load_leaderboard("generation")  # doctest: +SKIP
    """
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
    """Compute the scores of entries anew from what they hold. names: tracks, or `track/entry`; none for all.

    Raises `InputError` if there is no such track or entry.

    >>> [each.verdict for each in verify(["generation"])]  # doctest: +SKIP
    """
    from zoobench.leaderboard import verify
    from zoobench.zoo.workspace import Workspace

    other = None if proposed is None else Path(proposed)
    return verify(names, workspace or Workspace(), proposed=other, fetch=fetch, progress=progress)


def verify_fresh(
    findings: Sequence[Finding],
    *,
    seed: int | None = None,
    minutes: float = 240,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> list[Refreshed]:
    """Build the zoos of verified entries anew, with another seed, and write scores on them beside the recorded ones.

    Answers about images are judged as they are, by new models; methods with other answers run again, if they are
    installed. findings: of `verify`; seed: of the fresh zoos, None to draw one; minutes: after so many no further entry
    is begun.

    >>> verify_fresh(verify(["generation"]), seed=7)  # doctest: +SKIP
    """
    from zoobench.leaderboard.rebuilding import refresh
    from zoobench.zoo.workspace import Workspace

    hold = [(each.track, each.folder) for each in findings if each.verdict == "verified" and each.folder]
    found = []
    for each in refresh(hold, workspace or Workspace(), seed, minutes, progress):
        progress.tell(each.words)
        found.append(each)
    return found


def load_boards(tracks: Sequence[str] | None = None, *, workspace: Workspace | None = None) -> list[Board]:
    """Tracks with their entries: `.track`, `.entries`, `.ranked()`, `.table()`. tracks: by name, None for all.

    What cannot be read is in `.damaged`. Raises `InputError` if there is no such track, or no track at all.

    >>> [board.track.name for board in load_boards()]  # doctest: +SKIP
    """
    from zoobench.leaderboard import Board
    from zoobench.zoo.workspace import Workspace

    leaderboards = (workspace or Workspace()).leaderboards
    return [Board.read(leaderboards, track) for track in _tracks(tracks, leaderboards)]


def compare_entries(
    first: str, second: str, tracks: Sequence[str] | None = None, *, workspace: Workspace | None = None
) -> list[Difference]:
    """Two entries by the ranking metric, on every target of the tracks that both are on: `.difference`, `.apart`.

    Raises `InputError` if there is no such track, or no track that both are on.

    >>> compare_entries("sane", "pca", ["property-id"])  # doctest: +SKIP
    """
    from zoobench.leaderboard.board import differences
    from zoobench.zoo.workspace import Workspace

    leaderboards = (workspace or Workspace()).leaderboards
    return differences(leaderboards, _tracks(tracks, leaderboards), first, second)


def rebuild_tracks(
    tracks: Sequence[str] | None = None,
    *,
    record: bool = False,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> list[Rebuilt]:
    """Build the zoos of tracks from their specs, and compare them with what was recorded: one record per zoo.

    record: take what was built for what the tracks mean, for those who keep them.

    Raises `InputError` if there is no such track.

    >>> rebuild_tracks(["generation"])  # doctest: +SKIP
    """
    from zoobench.leaderboard.rebuilding import rebuild
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    return rebuild(_tracks(tracks, workspace.leaderboards), workspace, record, progress)


def export_track(
    track: str, out: str | Path, *, workspace: Workspace | None = None, progress: Progress = QUIET
) -> Path:
    """Write what a method may read of a track, for any framework, into a new folder: tokens, weights, what is asked.

    Returns the folder; its README.md says what is in it.

    Raises `InputError` if there is no such track, and if `out` is there already.

    >>> export_track("generation", "data/generation")  # doctest: +SKIP
    """
    from zoobench.leaderboard import read_track
    from zoobench.leaderboard.export import export_track
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    export_track(read_track(workspace.leaderboards, track), Path(out), workspace, progress)
    return Path(out)


def write_site(out: str | Path, *, repository: str | None = None, workspace: Workspace | None = None) -> Path:
    """Write the leaderboards as pages for a browser, which open from a disk as from any host; returns the folder.

    repository: its address, for a link to the guide. An earlier site there is replaced.

    Raises `InputError` if there is no track, and if `out` holds something else.

    >>> write_site("site")  # doctest: +SKIP
    """
    from zoobench.leaderboard.site import write_site

    write_site(load_boards(workspace=workspace), Path(out), repository)
    return Path(out)


def _tracks(names: Sequence[str] | None, leaderboards: Path) -> list[Track]:
    from zoobench.leaderboard import read_track, read_tracks

    return read_tracks(leaderboards) if names is None else [read_track(leaderboards, name) for name in names]
