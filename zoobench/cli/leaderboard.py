"""`zoobench leaderboard`: tracks, and who stands where on them; `zoobench submit`: hand in what a method made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoobench.cli.console import console, show, shown_progress, styled, table
from zoobench.cli.options import (
    CpusPerJob,
    DataRoot,
    Device,
    Home,
    Json,
    Quiet,
    TrackOption,
    Tracks,
    Workers,
    chosen_tracks,
    listed,
)
from zoobench.cli.tables import board_tables, difference_tables, finding_table, track_tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from zoobench.leaderboard import Board, Entry, Track
    from zoobench.methods.method import Method
    from zoobench.zoo.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards, verify them, build what they are made of.")


@app.callback()
def leaderboard() -> None:
    """Look at leaderboards."""


def _examples(*commands: str) -> str:
    return "\n\n  ".join(["Examples:", *(f"zoobench {command}" for command in commands)])


@app.command("list", epilog=_examples("leaderboard list", "leaderboard list --json"))
def list_tracks(home: Home = Path(), json: Json = False, quiet: Quiet = False) -> None:
    """List the tracks: what each asks for, how many entries it has, which method leads, and the best baseline."""
    from zoobench.leaderboard import read_tracks

    boards = [_board(home, track) for track in read_tracks(home / "leaderboards")]
    record = [each.track.fields() | {"entries": [entry.name for entry in each.entries]} for each in boards]
    show(record, *track_tables(boards))


@app.command(
    "show",
    epilog=_examples(
        "leaderboard show",
        "leaderboard show generation-id --metric novelty",
        "leaderboard show all --json > leaderboards.json",
    ),
)
def show_tracks(
    tracks: Tracks = None,
    metric: Annotated[
        str | None, typer.Option(help="To rank by, on the tracks that have it.", show_default="each track's")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the entries of tracks, best first; baselines and marked entries stand beside those that are ranked.

    Entries that another version of a track's task scored follow in a table of their own, without ranks.
    """
    from zoo_generation.errors import unknown

    chosen = chosen_tracks(tracks, home / "leaderboards")
    having = [track for track in chosen if metric in (None, *track.metrics)]
    if metric is not None and not having:
        raise unknown("metric of these tracks", metric, [each for track in chosen for each in track.metrics])
    boards = [_board(home, track) for track in having]
    record = [{"rank": place} | entry.fields() for board in boards for place, entry in board.all(metric)]
    show(record, *(each for board in boards for each in board_tables(board, metric=metric)))


@app.command(
    epilog=_examples(
        "leaderboard diff sane layer_statistics",
        "leaderboard diff sane weight_density --track generation-id --json",
    )
)
def diff(
    first: Annotated[str, typer.Argument(help="An entry.", metavar="A")],
    second: Annotated[str, typer.Argument(help="Another.", metavar="B")],
    track: TrackOption = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two entries by the ranking metric on every track that both are on.

    Two entries whose 95 % intervals are apart differ; two whose intervals overlap may differ too.
    """
    from dataclasses import asdict

    from zoobench.leaderboard.board import differences

    folder = home / "leaderboards"
    found = differences(folder, chosen_tracks(listed(track), folder), first, second)
    show([asdict(each) for each in found], *difference_tables(found, first, second))


@app.command(
    epilog=_examples(
        "leaderboard verify",
        "leaderboard verify generation-id fine-tuning/sane",
        "leaderboard verify --home main --proposed pull-request/leaderboards",
        "leaderboard verify property-id/sane --fresh",
    )
)
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
    minutes: Annotated[float, typer.Option(min=0, help="After so many no further entry is run on fresh zoos.")] = 240,
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute the scores of entries anew from what they hold; exit code 2 if one is refused, or cannot be judged.

    What was computed is written into the entries that hold, with marks of what is a copy. An entry whose artefact lies
    elsewhere is left out unless it is fetched; one that another version of the task scored keeps its scores.
    """
    from collections import Counter
    from dataclasses import asdict

    from zoo_generation.errors import InputError
    from zoobench.leaderboard import verify as verify_entries
    from zoobench.leaderboard.rebuilding import refresh
    from zoobench.zoo.workspace import Workspace

    if seed is not None and not fresh:
        raise InputError(f"--seed {seed} is that of fresh zoos; give --fresh too, or leave it out")
    workspace = Workspace(home, data_root, workers=workers)
    with shown_progress() as progress:
        findings = verify_entries(names or [], workspace, proposed=proposed, fetch=fetch, progress=progress)
        hold = [(each.track, each.folder) for each in findings if each.verdict == "verified" and each.folder]
        refreshed = []
        for each in refresh(hold if fresh else [], workspace, seed, minutes, progress):
            progress.tell(each.words)
            refreshed.append(each)
    counted = Counter(each.verdict for each in findings if each.entry)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in counted.items()) or "There is nothing to verify"
    reasons = [words for each in findings for words in each.words]
    record = {"findings": [asdict(each) for each in findings], "fresh": [asdict(each) for each in refreshed]}
    show(record, finding_table(findings), *reasons, counts)
    raise typer.Exit(0 if all(finding.is_good for finding in findings) else 2)


@app.command(
    epilog=_examples(
        "leaderboard site --out site",
        "leaderboard site --repository https://github.com/me/zoobench",
    )
)
def site(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier site there is replaced.")] = Path("site"),
    repository: Annotated[
        str | None, typer.Option(help="Its address, for a link to the guide.", show_default="none")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the leaderboards as pages for a browser, which open from a disk as from any host."""
    from zoobench.leaderboard import read_tracks
    from zoobench.leaderboard.site import write_site

    boards = [_board(home, track) for track in read_tracks(home / "leaderboards")]
    with console.status("drawing pages"):
        write_site(boards, out, repository)
    show({"site": str(out)}, f"Open {out / 'index.html'} in a browser, or put {out} on any host")


@app.command(epilog=_examples("leaderboard rebuild generation-id", "leaderboard rebuild all --record"))
def rebuild(
    tracks: Tracks = None,
    record: Annotated[
        bool, typer.Option("--record", help="Take what was built for what the tracks mean: for those who keep them.")
    ] = False,
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the zoos of tracks from their specs, and compare them with what was recorded; exit code 1: they differ."""
    from dataclasses import asdict

    from zoobench.leaderboard.rebuilding import rebuild as rebuild_zoos
    from zoobench.zoo.workspace import Workspace

    workspace = Workspace(home, data_root, device, workers, cpus=cpus_per_job)
    with shown_progress() as progress:
        found = rebuild_zoos(chosen_tracks(tracks, workspace.leaderboards), workspace, record, progress)
    shown = table("Zoos of tracks", ["zoo"], ["models", "checkpoints", "content", "as recorded"])
    for zoo in found:
        shown.add_row(zoo.zoo, str(zoo.models), str(zoo.checkpoints), zoo.content[:12], zoo.verdict)
    show([asdict(zoo) for zoo in found], shown)
    raise typer.Exit(1 if any(zoo.same is False for zoo in found) else 0)


@app.command(epilog=_examples("leaderboard data property-cross-dataset --out property-cross-dataset"))
def data(
    track: Annotated[str, typer.Argument(help="A track.")],
    out: Annotated[Path, typer.Option(help="Folder to write; a new one.")],
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write what a method may read of a track, for methods in any framework: tokens, weights, what is asked for."""
    from zoobench.leaderboard import read_track
    from zoobench.leaderboard.export import export_track
    from zoobench.zoo.workspace import Workspace

    with shown_progress() as progress:
        export_track(
            read_track(home / "leaderboards", track), out, Workspace(home, data_root, workers=workers), progress
        )
    show({"data": str(out)}, f"What a method may read, and what it is asked for: {out}/README.md")


SUBMIT = _examples(
    'submit results/generation-id/my_forest --authors "A. Author, B. Author" --licence MIT --check',
    'submit results/generation-id/my_forest --authors "A. Author, B. Author" --licence MIT',
    'submit weights.safetensors --track generation-id --name mine --authors "A. Author" --licence MIT --out my.zip',
    'submit predictions.parquet --track property-id --name mine --seeds 0 --authors "A. Author" --licence MIT',
    "submit my.zip --replace",
)


def submit(
    source: Annotated[
        Path, typer.Argument(help="What 'eval --track' wrote, a zip file of it, or predictions or weights of your own.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Only say all that is wrong, and how it would rank.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write one zip file instead, to be sent.", show_default="into leaderboards/")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the entry of that name.")] = False,
    track: Annotated[str | None, typer.Option(help="The track.", show_default="the entry's")] = None,
    name: Annotated[str | None, typer.Option(help="Of the entry's folder.", show_default="the method's")] = None,
    method: Annotated[str | None, typer.Option(help="As it is shown.", show_default="the name")] = None,
    authors: Annotated[str | None, typer.Option(help="Who, comma-separated; needed.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", "--license", help="Of what is handed in; needed.")] = None,
    description: Annotated[str | None, typer.Option(help="What the method does, in some sentences.")] = None,
    paper: Annotated[str | None, typer.Option(help="https://…")] = None,
    code: Annotated[str | None, typer.Option(help="https://…")] = None,
    parameters: Annotated[int | None, typer.Option(min=0, help="Numbers that are learned.")] = None,
    compute: Annotated[str | None, typer.Option(help="What training took, such as '2 hours on one A100'.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Those handed in: 0 alone, of a method without chance.", show_default="the track's"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where the artefact lies, and is fetched, if it is too large for git.")
    ] = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a submission, and put it into the leaderboards of a clone, ready for a pull request.

    Scores are computed from what is handed in. If anything is wrong with it, nothing changes.
    """
    from zoobench.leaderboard import read_track
    from zoobench.leaderboard import submit as hand_in
    from zoobench.zoo.workspace import Workspace

    given: dict[str, Any] = {
        "track": track,
        "name": name,
        "method": method,
        "authors": listed(authors),
        "licence": licence,
    }
    given |= {"description": description, "paper": paper, "code": code, "parameters": parameters, "compute": compute}
    given |= {"seeds": _numbers(seeds)}
    said = {field: value for field, value in given.items() if value is not None}
    how: dict[str, Any] = {"check": check, "out": out, "replace": replace, "url": url}
    with shown_progress() as progress:
        entry = hand_in(source, Workspace(home, data_root), progress=progress, **how, **said)
    last = f"Entry: {home / 'leaderboards' / entry.track / entry.name}; commit it, and open a pull request"
    if out is not None:
        last = f"Submission: {out} (zoobench submit {out})"
    elif check:
        last = "Nothing is wrong with it; without --check it goes into the leaderboards"
    marked = [f"It is marked, and takes no place: {'; '.join(entry.marks)}"] if entry.marks else []
    tables = board_tables(_board(home, read_track(home / "leaderboards", entry.track), entry), {entry.name})
    show(entry.fields(), *tables, *marked, last)


def run_on_tracks(names: str, method: Method, config: object, workspace: Workspace) -> int:
    """Run a method on each of several tracks that it can do, for `zoobench eval --track`; returns the exit code."""
    from zoo_generation.errors import InputError
    from zoobench.leaderboard import run_track
    from zoobench.leaderboard.running import FailedError

    chosen, failed = chosen_tracks(listed(names), workspace.leaderboards), False
    records: list[dict[str, Any]] = []
    shown: list[RenderableType] = []
    for track in chosen:
        try:
            with shown_progress() as progress:
                entry = run_track(method, track, workspace, progress, config)
        except FailedError as error:
            failed = True
            shown += [styled("failed ", "red") + styled(f"{piece}: {why}") for piece, why in error.pieces.items()]
            continue
        except InputError as error:
            if len(chosen) == 1:
                raise
            shown.append(f"{track.name}: {error}")
            continue
        folder = workspace.results / track.name / method.name
        records.append(entry.fields() | {"folder": str(folder)})
        shown += board_tables(_board(workspace.home, track, entry), {entry.name})
        shown.append(f"What can be handed in: {folder} (zoobench submit {folder} --help)")
    show(records, *shown)
    return int(failed)


def _board(home: Path, track: Track, mine: Entry | None = None) -> Board:
    """A track's entries, with one's own in the place of that of its name; says which cannot be read."""
    from dataclasses import replace

    from zoo_generation.kept import tell
    from zoobench.leaderboard import Board

    board = Board.read(home / "leaderboards", track)
    for problem in board.damaged:
        tell(f"Left out: {problem}")
    others = [entry for entry in board.entries if mine is None or entry.name != mine.name]
    return board if mine is None else replace(board, entries=(*others, mine))


def _numbers(seeds: str | None) -> list[int] | None:
    """The seeds of a comma-separated option. Raises `InputError` for anything but whole numbers."""
    from zoo_generation.errors import InputError

    given = listed(seeds)
    if given is not None and not all(seed.isdecimal() and len(seed) < 11 for seed in given):
        raise InputError(f"--seeds was given '{seeds}'; give whole numbers, comma-separated, such as 0,1,2")
    return None if given is None else [int(seed) for seed in given]
