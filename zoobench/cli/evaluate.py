"""`zoobench eval`, `zoobench ablate`, `zoobench demo`: measure methods on zoos."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import zoobench as zb
from zoo_generation.errors import InputError
from zoo_generation.names import inside
from zoobench.cli.console import show, shown_progress, styled
from zoobench.cli.options import (
    CpusPerJob,
    DataRoot,
    Device,
    FirstSeed,
    GpusPerJob,
    Home,
    Json,
    MethodName,
    PresetName,
    Quiet,
    RayAddress,
    Seeds,
    Settings,
    TrackOption,
    UserArchitectures,
    Workers,
    Zoos,
    assigned,
    chosen_tracks,
    examples,
    import_listed,
    listed,
    opened_zoos,
    option,
)
from zoobench.cli.tables import answer_tables, board_tables, cost_tables, score_tables, standings_tables

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

EVAL_EXAMPLES = examples(
    "eval --method sane",
    "eval --method sane --zoo zoos/mnist+cifar10-cnn_s --preset tiny --seeds 5",
    "eval --set normalization=batch,steps=2000 --tasks property_prediction,generation",
    "eval --zoo s3://bucket/zoo --statuses trained",
    "eval --method pca --track property-id,reconstruction",
)
ABLATE_EXAMPLES = examples(
    "ablate benchmarks/compositions/smoke.yaml",
    "ablate benchmarks/compositions/composition.yaml --data-root data --dry-run",
    "ablate my-study.yaml --seeds 5 --ray-address auto --gpus-per-job 0.5 --home /shared/bench",
)


def evaluate(
    method: MethodName = "sane",
    preset: PresetName = None,
    settings: Settings = None,
    tasks: Annotated[str | None, option("Tasks, comma-separated: see 'zoobench list tasks'.", "all")] = None,
    track: TrackOption = None,
    zoo: Zoos = None,
    statuses: Annotated[
        str | None,
        option("Models to take, by status; those that diverged are never taken.", "trained,at_chance"),
    ] = None,
    seeds: Seeds = None,
    seed: FirstSeed = None,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    gpus_per_job: GpusPerJob = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method on zoos, and measure it beside the baselines by every task that it can do.

    Without --zoo it takes the zoo that was built last. What is expensive is kept under runs/, so that the same command
    again makes only what is missing. If a method fails, the others are measured all the same, and the exit code is 1.
    With --track it is measured as a track of the leaderboards says, and what is written can be handed in (zoobench
    submit).
    """
    from zoo_generation.machine import check_writable

    import_listed(architectures)
    chosen = zb.get_method(method)
    config = chosen.config(preset, assigned(settings))
    workspace = zb.Workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    if track is not None:
        own = {"--tasks": tasks, "--zoo": zoo, "--statuses": statuses, "--seeds": seeds, "--seed": seed}
        if refused := [f"{option} {value}" for option, value in own.items() if value is not None]:
            raise InputError(
                f"{refused[0]} was given with --track {track}, which decides that itself; leave one of them out"
            )
        tracks = chosen_tracks([track], workspace)
        with workspace.ray() if len(tracks) > 1 else nullcontext():  # one for all; one track is refused without it
            raise typer.Exit(_on_tracks(tracks, chosen, preset, settings, workspace))
    kept = zb.kept_statuses(listed("trained,at_chance" if statuses is None else statuses) or [])
    first, zoos = seed or 0, opened_zoos(zoo, home)
    check_writable(home)
    with shown_progress() as progress:
        results = zb.evaluate(
            {chosen: config},
            zoos,
            tasks=listed(tasks),
            seeds=range(first, first + (seeds or 3)),
            statuses=kept,
            workspace=workspace,
            progress=progress,
        )
    folder = inside(workspace.results, f"{'+'.join(each.name for each in zoos)}-{method}")
    raise typer.Exit(_written(results, folder))


def _on_tracks(
    tracks: list[str], method: zb.Method, preset: str | None, settings: str | None, workspace: zb.Workspace
) -> int:
    """Run a method on each of several tracks that it can do; returns the exit code."""
    failed, records, tables = False, list[dict[str, Any]](), list["RenderableType"]()
    for track in tracks:
        try:
            with shown_progress() as progress:
                entry = zb.run_track(
                    method, track, preset=preset, workspace=workspace, progress=progress, **assigned(settings)
                )
        except zb.FailedError as error:
            failed = True
            tables += _failed(error.pieces)
            continue
        except InputError as error:
            if len(tracks) == 1:
                raise
            tables.append(f"{track}: {error}")
            continue
        folder = workspace.results / track / method.name
        records.append(entry.fields() | {"folder": str(folder)})
        board = zb.load_boards([track], workspace=workspace)[0].with_entry(entry)
        tables += board_tables(board, {entry.name})
        tables.append(f"What can be handed in: {folder} (zoobench submit {folder} --help)")
    show(records, *tables)
    return int(failed)


def _written(results: zb.Results, folder: Path, *more: str) -> int:
    """Save and print what was measured, beside what other options measured; returns the exit code."""
    folder = results.save_beside(folder)
    standings = results.standings()
    record = {"standings": standings.to_dict("records"), "failures": dict(results.failures), "results": str(folder)}
    where = f"Results, tables and plot: {folder}"
    show(record, *standings_tables(standings), *_failed(results.failures), where, *more)
    return 1 if results.failures else 0


def _failed(failures: Mapping[str, str]) -> list[Text]:
    """One line per reason, with the pieces that failed for it, but for those that another one took with it."""
    pieces: dict[str, list[str]] = {}
    for piece, reason in failures.items():
        if not any(reason.startswith(f"{other}: ") for other in failures):
            pieces.setdefault(reason, []).append(piece)
    return [styled("failed ", "red") + styled(f"{'; '.join(names)}: {reason}") for reason, names in pieces.items()]


def ablate(
    study: Annotated[Path, typer.Argument(help="A YAML file: zoos, compositions, methods, targets, tasks.")],
    seeds: Seeds = None,
    seed: FirstSeed = None,
    dry_run: Annotated[bool, option("Only show what would be done, and its cost.", True, "--dry-run")] = False,
    rates: Annotated[Path | None, option("For --dry-run: speeds of a GPU, from benchmarks/speed/gpu.py.")] = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    gpus_per_job: GpusPerJob = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build zoos, train methods on every composition of them, measure each on every target, and report.

    The same command again makes only what is missing: after an interrupt, a failure, or with more seeds. What is made
    is kept by content under runs/, and used again by other studies. On a cluster, all nodes must see --home.
    """
    workspace = zb.Workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    if dry_run:
        known = rates or workspace.results / "speed" / "gpu.json"
        cost = zb.plan_study(study, seeds=seeds, seed=seed, workspace=workspace).cost(
            known if rates or known.is_file() else None
        )
        again = f"; what is kept under {workspace.runs} is not made again"
        show(cost.to_dict("records"), *cost_tables(cost), cost.attrs["words"] + again)
        return
    with shown_progress() as progress:
        results = zb.run_study(study, seeds=seeds, seed=seed, workspace=workspace, progress=progress)
        path = inside(workspace.results, results.study.name)
        results.save(path)
    standings, report = results.standings(), results.report
    record = {
        "standings": standings.to_dict("records"),
        "comparisons": results.comparisons.to_dict("records"),
        "failures": results.failures,
        "report": str(path / "report.html"),
    }
    tables = (*score_tables(report.summary, report.primary), *answer_tables(report.answers()))
    where = f"Report: {path / 'report.html'}, and as Markdown, Parquet and CSV beside it"
    show(record, *tables, *standings_tables(standings), *_failed(results.failures), where)
    raise typer.Exit(1 if results.failures else 0)


def demo(
    home: Annotated[Path, option("Folder that everything is written to.")] = Path("zoobench-demo"),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build zoos on bundled images, train SANE on all of them, evaluate, rank: minutes, and no network."""
    workspace = zb.Workspace(home, workers=workers)
    with shown_progress() as progress:
        results = zb.run_demo(workspace=workspace, progress=progress)
    last = f"Done. Look at {workspace.results}, and go on with 'zoobench build-zoo --help'."
    raise typer.Exit(_written(results, workspace.results / "demo", last))
