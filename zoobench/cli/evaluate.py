"""`zoobench eval`, `zoobench ablate`, `zoobench demo`: measure methods on zoos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoobench.cli.console import show, shown_progress, styled
from zoobench.cli.leaderboard import run_on_tracks
from zoobench.cli.options import (
    LARGEST_SEED,
    MOST_SEEDS,
    CpusPerJob,
    DataRoot,
    Device,
    GpusPerJob,
    Home,
    Json,
    MethodName,
    PresetName,
    Quiet,
    RayAddress,
    Settings,
    TrackOption,
    UserArchitectures,
    Workers,
    Zoos,
    assigned,
    import_listed,
    listed,
    opened_zoos,
)
from zoobench.cli.tables import answer_tables, cost_tables, score_tables, standings_tables

if TYPE_CHECKING:
    from rich.text import Text

    from zoobench.evaluation import Results
    from zoobench.zoo.workspace import Workspace

EVAL_EXAMPLES = """
Examples:

  zoobench eval --method sane

  zoobench eval --method sane --zoo zoos/mnist+cifar10-cnn_s --preset tiny --seeds 5

  zoobench eval --set normalization=batch,steps=2000 --tasks property_prediction,generation

  zoobench eval --zoo s3://bucket/zoo --statuses trained

  zoobench eval --method pca --track property-id,reconstruction
"""
ABLATE_EXAMPLES = """
Examples:

  zoobench ablate benchmarks/compositions/smoke.yaml

  zoobench ablate benchmarks/compositions/small.yaml --data-root data --dry-run

  zoobench ablate my-study.yaml --seeds 5 --ray-address auto --gpus-per-job 0.5 --home /shared/bench
"""
DEMO_ZOOS: dict[str, dict[str, Any]] = {
    "demo-cnn_s": {"architectures": ["cnn_s"], "learning_rate": [0.001, 0.003], "seeds": 8, "epochs": 6},
    "demo-resnet18": {
        "architectures": ["resnet18"],
        "width": [0.0625],
        "image_size": 16,
        "activation": ["relu"],
        "learning_rate": [0.003, 0.01],
        "batch_size": [64],
        "seeds": 5,
        "epochs": 3,
    },
}
DEMO_STEPS, DEMO_DRAWN = 200, 50


def evaluate(
    method: MethodName = "sane",
    preset: PresetName = None,
    settings: Settings = None,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, comma-separated: see 'zoobench list tasks'.", show_default="all")
    ] = None,
    track: TrackOption = None,
    zoo: Zoos = None,
    statuses: Annotated[
        str | None,
        typer.Option(
            help="Models to take, by status; those that diverged are never taken.", show_default="trained,at_chance"
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SEEDS, help="Seeds to train and sample with; mean ± std.", show_default="3"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="The first of them.", show_default="0")
    ] = None,
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
    from zoo_generation.errors import InputError
    from zoo_generation.machine import check_writable
    from zoo_generation.names import inside
    from zoobench.evaluation import evaluate as evaluate_zoos
    from zoobench.methods.registry import get_method
    from zoobench.populations import KEPT, kept_statuses
    from zoobench.tasks.registry import get_task

    import_listed(architectures)
    chosen = get_method(method)
    config = chosen.config(preset, assigned(settings))
    workspace = _workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    if track is not None:
        own = {"--tasks": tasks, "--zoo": zoo, "--statuses": statuses, "--seeds": seeds, "--seed": seed}
        if refused := [f"{option} {value}" for option, value in own.items() if value is not None]:
            raise InputError(
                f"{refused[0]} was given with --track {track}, which decides that itself; leave one of them out"
            )
        raise typer.Exit(run_on_tracks(track, chosen, config, workspace))
    first = seed or 0
    wanted = None if tasks is None else [get_task(name) for name in listed(tasks) or []]
    kept = KEPT if statuses is None else kept_statuses(listed(statuses) or [])
    zoos = opened_zoos(zoo, home)
    check_writable(home)
    with shown_progress() as progress:
        results = evaluate_zoos(
            {chosen: config},
            zoos,
            tasks=wanted,
            seeds=range(first, first + (seeds or 3)),
            statuses=kept,
            workspace=workspace,
            progress=progress,
        )
    folder = inside(workspace.results, f"{'+'.join(each.name for each in zoos)}-{method}")
    raise typer.Exit(_written(results, folder))


def _written(results: Results, folder: Path) -> int:
    """Save and print what was measured; returns the exit code."""
    results.save(folder)
    standings = results.standings()
    record = {"standings": standings.to_dict("records"), "failures": dict(results.failures), "results": str(folder)}
    show(record, *standings_tables(standings), *_failed(results.failures), f"Results, tables and plot: {folder}")
    return 1 if results.failures else 0


def _failed(failures: Mapping[str, str]) -> list[Text]:
    """One line per reason, with the pieces that failed for it, but for those that another one took with it."""
    pieces: dict[str, list[str]] = {}
    for piece, reason in failures.items():
        if not any(reason.startswith(f"{other}: ") for other in failures):
            pieces.setdefault(reason, []).append(piece)
    return [styled("failed ", "red") + styled(f"{'; '.join(names)}: {reason}") for reason, names in pieces.items()]


def _workspace(
    home: Path,
    data_root: Path | None,
    device: str,
    workers: int | None,
    ray_address: str | None,
    cpus: float,
    gpus: float | None,
) -> Workspace:
    from zoobench.zoo.workspace import Workspace

    return Workspace(home, data_root, device, workers, ray_address, cpus, gpus)


def ablate(
    study: Annotated[Path, typer.Argument(help="A YAML file: zoos, compositions, methods, targets, tasks.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SEEDS, help="Seeds to train and sample with.", show_default="the study's"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="The first of them.", show_default="the study's")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, and its cost.")] = False,
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
    from zoo_generation.machine import cores
    from zoo_generation.names import inside
    from zoobench.studies.results import duration, plan_study, run_study
    from zoobench.studies.study import read_study

    workspace = _workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    changes = {name: value for name, value in (("seeds", seeds), ("seed", seed)) if value is not None}
    asked = read_study(study, changes)
    if dry_run:
        cost = plan_study(asked, workspace).cost()
        total = float(cost["seconds"].sum())
        sentence = (
            f"About {duration(total)} of one core of this machine, {duration(total / cores())} on its {cores()}; what "
            f"is kept under {workspace.runs} is not made again"
        )
        show(cost.to_dict("records"), *cost_tables(cost), sentence)
        return
    with shown_progress() as progress:
        results = run_study(asked, workspace, progress)
        path = inside(workspace.results, asked.name)
        results.save(path)
    standings = results.standings()
    record = {
        "standings": standings.to_dict("records"),
        "comparisons": results.comparisons.to_dict("records"),
        "failures": results.failures,
        "report": str(path / "report.html"),
    }
    tables = (*score_tables(results.report), *answer_tables(results.report), *standings_tables(standings))
    where = f"Report: {path / 'report.html'}, and as Markdown, Parquet and CSV beside it"
    show(record, *tables, *_failed(results.failures), where)
    raise typer.Exit(1 if results.failures else 0)


def demo(
    home: Annotated[Path, typer.Option(help="Folder that everything is written to.")] = Path("zoobench-demo"),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build zoos on bundled images, train SANE on all of them, evaluate, rank: minutes, and no network."""
    from zoo_generation.training.spec import make_spec
    from zoobench.evaluation import evaluate as evaluate_zoos
    from zoobench.methods.registry import get_method
    from zoobench.tasks.registry import get_task
    from zoobench.zoo.building import build_zoo
    from zoobench.zoo.workspace import Workspace

    workspace = Workspace(home, workers=workers)
    method = get_method("sane")
    tasks = [get_task("property_prediction"), get_task("generation", {"drawn": DEMO_DRAWN}), get_task("reconstruction")]
    with shown_progress() as progress, workspace.ray():
        zoos = []
        for name, values in DEMO_ZOOS.items():
            spec = make_spec({"name": name, "datasets": ["digits", "glyphs"], "train_images": 2000} | values)
            zoos.append(build_zoo(spec, workspace.zoos / name, workspace, progress))
        configured = {method: method.config("tiny", {"steps": DEMO_STEPS})}
        results = evaluate_zoos(configured, zoos, tasks=tasks, seeds=range(2), workspace=workspace, progress=progress)
    code = _written(results, workspace.results / f"{'+'.join(DEMO_ZOOS)}-{method.name}")
    show({}, f"Done. Look at {workspace.results}, and go on with 'zoobench build-zoo --help'.")
    raise typer.Exit(code)
