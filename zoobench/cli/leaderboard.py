"""`zoobench leaderboard`: tracks, and who stands where on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import CpusPerJob, DataRoot, Device, Home, TrackOption, Tracks, Workers

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards, verify them, build what they are made of.")


@app.callback()
def leaderboard() -> None:
    """Look at leaderboards."""


LIST = """
Examples:

  zoobench leaderboard list

  zoobench leaderboard list --json
"""


@app.command("list", epilog=LIST)
def list_tracks(json: Json = False, home: Home = Path()) -> None:
    """List the tracks: what each asks for, how many entries it has, which method leads, and the best baseline."""
    from zoobench.cli.console import console
    from zoobench.cli.leaderboards import print_json, readable_entries, track_list
    from zoobench.leaderboard import read_tracks

    folder = home / "leaderboards"
    tracks = read_tracks(folder)
    entries = {track.name: readable_entries(folder, track) for track in tracks}
    if json:
        print_json([track.model_dump() | {"entries": [each.name for each in entries[track.name]]} for track in tracks])
        return
    for shown in track_list(tracks, entries):
        console.print(shown)


SHOW = """
Examples:

  zoobench leaderboard show

  zoobench leaderboard show generation-id --metric novelty

  zoobench leaderboard show all --json > leaderboards.json
"""


@app.command(epilog=SHOW)
def show(
    tracks: Tracks = None,
    metric: Annotated[
        str | None, typer.Option(help="To rank by, on the tracks that have it.", show_default="each track's")
    ] = None,
    json: Json = False,
    home: Home = Path(),
) -> None:
    """Show the entries of tracks, best first; baselines and marked entries stand beside those that are ranked."""
    from zoo_generation.errors import unknown
    from zoobench.cli.console import console
    from zoobench.cli.leaderboards import mark_lines, print_json, readable_entries, track_table
    from zoobench.cli.options import chosen_tracks
    from zoobench.leaderboard import ranked

    folder, rows = home / "leaderboards", []
    chosen = chosen_tracks(tracks, folder)
    having = [track for track in chosen if metric in (None, *track.metrics)]
    if metric is not None and not having:
        raise unknown("metric of these tracks", metric, [each for track in chosen for each in track.metrics])
    for track in having:
        entries = readable_entries(folder, track)
        places = ranked(entries, metric or track.metric, track.tolerance)
        rows += [{"rank": place} | entry.fields() for place, entry in places]
        if not json:
            console.print(track_table(track, entries, metric=metric))
            for line in mark_lines(entries):
                console.print(line, soft_wrap=True)
    if json:
        print_json(rows)


DIFF = """
Examples:

  zoobench leaderboard diff sane layer_statistics

  zoobench leaderboard diff sane weight_density --track generation-id --json
"""


@app.command(epilog=DIFF)
def diff(
    first: Annotated[str, typer.Argument(help="An entry.", metavar="A")],
    second: Annotated[str, typer.Argument(help="Another.", metavar="B")],
    track: TrackOption = None,
    json: Json = False,
    home: Home = Path(),
) -> None:
    """Compare two entries by the ranking metric on every track that both are on.

    Whether their 95 % intervals overlap is told: apart, they differ; where they overlap, they may all the same.
    """
    from dataclasses import asdict

    from zoobench.cli.console import console
    from zoobench.cli.leaderboards import difference_tables, print_json
    from zoobench.cli.options import chosen_tracks, listed
    from zoobench.leaderboard.comparison import differences

    folder = home / "leaderboards"
    found = differences(folder, chosen_tracks(listed(track), folder), first, second)
    if json:
        print_json([asdict(each) for each in found])
    else:
        for shown in difference_tables(found, first, second):
            console.print(shown)


VERIFY = """
Examples:

  zoobench leaderboard verify

  zoobench leaderboard verify generation-id fine-tuning/sane

  zoobench leaderboard verify --home main --proposed pull-request/leaderboards

  zoobench leaderboard verify property-id/sane --fresh
"""


@app.command(epilog=VERIFY)
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tracks, or entries as track/entry.", show_default="all")
    ] = None,
    proposed: Annotated[
        Path | None,
        typer.Option(help="Verify what differs in another 'leaderboards' folder, by the tracks here."),
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download artefacts that lie elsewhere.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Build the zoos anew, and run the methods that are installed on them.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="Of fresh zoos.", show_default="drawn, and shown after")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="After so many no other entry is run on fresh zoos.")] = 240,
    json: Json = False,
    workers: Workers = None,
    data_root: DataRoot = None,
    home: Home = Path(),
) -> None:
    """Compute the scores of entries anew from what they hold; exit code 2 where one is refused, or cannot be judged.

    What was computed is written into the entries that hold, with marks of what is a copy. Those whose artefacts lie
    elsewhere are told, and left out unless they are fetched.
    """
    from zoo_generation.errors import InputError
    from zoobench.cli.verifying import Anew
    from zoobench.cli.verifying import verify as verify_entries
    from zoobench.zoo.workspace import Workspace

    if seed is not None and not fresh:
        raise InputError(f"--seed {seed} is that of fresh zoos; give --fresh too, or leave it out")
    place, anew = Workspace(home, data_root, workers=workers), Anew(seed, minutes) if fresh else None
    fine = verify_entries(names or [], home / "leaderboards", proposed, place, fetch, json, anew)
    raise typer.Exit(0 if fine else 2)


SITE = """
Examples:

  zoobench leaderboard site --out site

  zoobench leaderboard site --repository https://github.com/me/zoobench
"""


@app.command(epilog=SITE)
def site(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier site there is replaced.")] = Path("site"),
    repository: Annotated[
        str | None, typer.Option(help="Its address, for a link to the guide.", show_default="none")
    ] = None,
    home: Home = Path(),
) -> None:
    """Write the leaderboards as pages for a browser, which open from a disk as from any host."""
    from zoobench.cli.console import console
    from zoobench.cli.leaderboards import readable_entries
    from zoobench.leaderboard import read_tracks
    from zoobench.leaderboard.site import Board, write_site

    folder = home / "leaderboards"
    boards = [Board(track, tuple(readable_entries(folder, track))) for track in read_tracks(folder)]
    with console.status("drawing pages"):
        write_site(boards, out, repository)
    console.print(f"Open {out / 'index.html'} in a browser, or put {out} on any host", soft_wrap=True)


REBUILD = """
Examples:

  zoobench leaderboard rebuild generation-id

  zoobench leaderboard rebuild all --record
"""


@app.command(epilog=REBUILD)
def rebuild(
    tracks: Tracks = None,
    record: Annotated[
        bool, typer.Option("--record", help="Take what was built for what the tracks mean: for those who keep them.")
    ] = False,
    data_root: DataRoot = None,
    home: Home = Path(),
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
) -> None:
    """Build the zoos of tracks from their specs, and compare them with what was recorded; exit code 1: they differ."""
    from zoobench.cli.options import chosen_tracks
    from zoobench.cli.rebuilding import rebuild as rebuild_zoos
    from zoobench.zoo.workspace import Workspace

    folder = home / "leaderboards"
    place = Workspace(home, data_root, device, cpus=cpus_per_job)  # type: ignore[arg-type]
    same = rebuild_zoos(chosen_tracks(tracks, folder), folder, place, record)
    raise typer.Exit(0 if same else 1)


DATA = """
Examples:

  zoobench leaderboard data property-cross-dataset --out property-cross-dataset
"""


@app.command(epilog=DATA)
def data(
    track: Annotated[str, typer.Argument(help="A track.")],
    out: Annotated[Path, typer.Option(help="Folder to write; a new one.")],
    data_root: DataRoot = None,
    home: Home = Path(),
) -> None:
    """Write what a method may read of a track, for methods in any framework: tokens, weights, what is asked for."""
    from zoo_generation.errors import InputError
    from zoobench.cli.exporting_track import export_track
    from zoobench.leaderboard import read_track
    from zoobench.zoo.workspace import Workspace

    if out.exists():
        raise InputError(f"{out} is there already; choose another --out")
    folder = home / "leaderboards"
    export_track(read_track(folder, track), out, folder, Workspace(home, data_root))
