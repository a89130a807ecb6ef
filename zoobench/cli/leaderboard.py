"""`zoobench leaderboard`: tracks, and who stands where on them; `zoobench submit`: hand in what a method made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import zoobench as zb
from zoo_generation.errors import InputError, unknown
from zoobench.cli.console import console, show, shown_progress
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
    examples,
    listed,
    option,
)
from zoobench.cli.tables import board_tables, difference_tables, finding_table, rebuilt_table, track_tables

app = typer.Typer(no_args_is_help=True, help="Look at leaderboards, verify them, build what they are made of.")


@app.command("list", epilog=examples("leaderboard list", "leaderboard list --json"))
def list_tracks(home: Home = Path(), json: Json = False, quiet: Quiet = False) -> None:
    """List the tracks: what each asks for, how many entries it has, which method leads, and the best baseline."""
    boards = _boards(None, zb.Workspace(home))
    record = [each.track.fields() | {"entries": [entry.name for entry in each.entries]} for each in boards]
    show(record, *track_tables(boards))


@app.command(
    "show",
    epilog=examples("leaderboard show generation-id --metric novelty", "leaderboard show all --json > boards.json"),
)
def show_tracks(
    tracks: Tracks = None,
    metric: Annotated[str | None, option("To rank by, on the tracks that have it.", "each track's")] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the entries of tracks, best first; baselines and marked entries stand beside those that are ranked.

    Entries that another version of a track's task scored follow in a table of their own, without ranks.
    """
    workspace = zb.Workspace(home)
    boards = _boards(chosen_tracks(tracks, workspace), workspace, metric)
    record = [{"rank": place} | entry.fields() for board in boards for place, entry in board.all(metric)]
    show(record, *(each for board in boards for each in board_tables(board, metric=metric)))


@app.command(
    epilog=examples(
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
    workspace = zb.Workspace(home)
    tracks = chosen_tracks(None if track is None else [track], workspace)
    found = zb.compare_entries(first, second, tracks, workspace=workspace)
    show([asdict(each) for each in found], *difference_tables(found, first, second))


@app.command(
    epilog=examples(
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
        Path | None, option("Verify what differs in another 'leaderboards' folder, by the tracks here.")
    ] = None,
    fetch: Annotated[bool, option("Download artefacts that lie elsewhere.", True, "--fetch")] = False,
    fresh: Annotated[
        bool, option("Build zoos anew: they judge answers about images, or methods run on them.", True, "--fresh")
    ] = False,
    seed: Annotated[int | None, option("Of fresh zoos.", "drawn, and shown after", min=0, max=2**31 - 1)] = None,
    minutes: Annotated[float, option("After so many no further entry is begun on fresh zoos.", min=0)] = 240,
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

    if seed is not None and not fresh:
        raise InputError(f"--seed {seed} is that of fresh zoos; give --fresh too, or leave it out")
    workspace = zb.Workspace(home, data_root, workers=workers)
    refreshed = []
    with shown_progress() as progress:
        findings = zb.verify(names or [], proposed=proposed, fetch=fetch, workspace=workspace, progress=progress)
        if fresh:
            how: dict[str, Any] = {"seed": seed, "minutes": minutes, "workspace": workspace, "progress": progress}
            refreshed = zb.verify_fresh(findings, **how)
    counted = Counter(each.verdict for each in findings if each.entry)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in counted.items()) or "There is nothing to verify"
    reasons = [words for each in findings for words in each.words]
    record = {"findings": [asdict(each) for each in findings], "fresh": [asdict(each) for each in refreshed]}
    show(record, finding_table(findings), *reasons, counts)
    raise typer.Exit(0 if all(finding.is_good for finding in findings) else 2)


@app.command(epilog=examples("leaderboard site", "leaderboard site --repository https://github.com/me/zoobench"))
def site(
    out: Annotated[Path, option("Folder to write; an earlier site there is replaced.")] = Path("site"),
    repository: Annotated[str | None, option("Its address, for a link to the guide.", "none")] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the leaderboards as pages for a browser, which open from a disk as from any host."""
    workspace = zb.Workspace(home)
    _boards(None, workspace)
    with console.status("drawing pages"):
        zb.write_site(out, repository=repository, workspace=workspace)
    show({"site": str(out)}, f"Open {out / 'index.html'} in a browser, or put {out} on any host")


@app.command(epilog=examples("leaderboard rebuild generation-id", "leaderboard rebuild all --record"))
def rebuild(
    tracks: Tracks = None,
    record: Annotated[
        bool, option("Take what was built for what the tracks mean: for those who keep them.", True, "--record")
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
    workspace = zb.Workspace(home, data_root, device, workers, cpus=cpus_per_job)
    with shown_progress() as progress:
        chosen = chosen_tracks(tracks, workspace)
        found = zb.rebuild_tracks(chosen, record=record, workspace=workspace, progress=progress)
    show([asdict(zoo) for zoo in found], rebuilt_table(found))
    raise typer.Exit(1 if any(zoo.same is False for zoo in found) else 0)


@app.command(epilog=examples("leaderboard data property-cross-dataset --out property-cross-dataset"))
def data(
    track: Annotated[str, typer.Argument(help="A track.")],
    out: Annotated[Path, option("Folder to write; a new one.")],
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write what a method may read of a track, for methods in any framework: tokens, weights, what is asked for."""
    with shown_progress() as progress:
        zb.export_track(track, out, workspace=zb.Workspace(home, data_root, workers=workers), progress=progress)
    show({"data": str(out)}, f"What a method may read, and what it is asked for: {out}/README.md")


SUBMIT = examples(
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
    check: Annotated[bool, option("Only say all that is wrong, and how it would rank.", True, "--check")] = False,
    out: Annotated[Path | None, option("Write one zip file instead, to be sent.", "into leaderboards/")] = None,
    replace: Annotated[bool, option("Take the place of the entry of that name.", True, "--replace")] = False,
    track: Annotated[str | None, option("The track.", "the entry's")] = None,
    name: Annotated[str | None, option("Of the entry's folder.", "the method's")] = None,
    method: Annotated[str | None, option("As it is shown.", "the name")] = None,
    authors: Annotated[str | None, option("Who, comma-separated; needed.")] = None,
    licence: Annotated[str | None, option("Of what is handed in; needed.", True, "--licence", "--license")] = None,
    description: Annotated[str | None, option("What the method does, in some sentences.")] = None,
    paper: Annotated[str | None, option("https://…")] = None,
    code: Annotated[str | None, option("https://…")] = None,
    parameters: Annotated[int | None, option("Numbers that are learned.", min=0)] = None,
    compute: Annotated[str | None, option("What training took, such as '2 hours on one A100'.")] = None,
    seeds: Annotated[str | None, option("Those handed in: 0 alone, of a method without chance.", "the track's")] = None,
    url: Annotated[str | None, option("Where the artefact lies, and is fetched, if it is too large for git.")] = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a submission, and put it into the leaderboards of a clone, ready for a pull request.

    Scores are computed from what is handed in. If anything is wrong with it, nothing changes.
    """
    given: dict[str, Any] = {"track": track, "name": name, "method": method, "licence": licence, "paper": paper}
    given |= {"description": description, "code": code, "parameters": parameters, "compute": compute, "url": url}
    given |= {"authors": listed(authors), "seeds": _numbers(seeds)}
    said = {field: value for field, value in given.items() if value is not None}
    workspace = zb.Workspace(home, data_root)
    with shown_progress() as progress:
        entry = zb.submit(source, check=check, out=out, replace=replace, workspace=workspace, progress=progress, **said)
    last = f"Entry: {workspace.leaderboards / entry.track / entry.name}; commit it, and open a pull request"
    if out is not None:
        last = f"Submission: {out} (zoobench submit {out})"
    elif check:
        last = "Nothing is wrong with it; without --check it goes into the leaderboards"
    marked = [f"It is marked, and takes no place: {'; '.join(entry.marks)}"] if entry.marks else []
    board = _boards([entry.track], workspace)[0].with_entry(entry)
    show(entry.fields(), *board_tables(board, {entry.name}), *marked, last)


def _boards(tracks: list[str] | None, workspace: zb.Workspace, metric: str | None = None) -> list[zb.Board]:
    """Tracks that have the metric, with their entries; says which of these cannot be read."""
    from zoo_generation.kept import tell

    boards = zb.load_boards(tracks, workspace=workspace)
    having = [board for board in boards if metric in (None, *board.track.metrics)]
    if metric is not None and not having:
        raise unknown("metric of these tracks", metric, [each for board in boards for each in board.track.metrics])
    for problem in (problem for board in having for problem in board.damaged):
        tell(f"Left out: {problem}")
    return having


def _numbers(seeds: str | None) -> list[int] | None:
    """The seeds of a comma-separated option. Raises `InputError` for anything but whole numbers."""
    given = listed(seeds)
    if given is not None and not all(seed.isdecimal() and len(seed) < 11 for seed in given):
        raise InputError(f"--seeds was given '{seeds}'; give whole numbers, comma-separated, such as 0,1,2")
    return None if given is None else [int(seed) for seed in given]
