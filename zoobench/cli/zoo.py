"""`zoobench build-zoo` and `zoobench zoo`: build, inspect, validate, import and export zoos."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.names import inside
from zoo_generation.training.presets import describe, preset_names
from zoobench.cli.console import show, shown_progress
from zoobench.cli.options import (
    CpusPerJob,
    DataRoot,
    Device,
    GpusPerJob,
    Home,
    Json,
    Quiet,
    RayAddress,
    Seed,
    UserArchitectures,
    Workers,
    import_listed,
    listed,
)

if TYPE_CHECKING:
    from zoobench.zoo import Zoo

app = typer.Typer(no_args_is_help=True, help="Look at zoos, validate, import and export them.")

PRESETS = "\n\n".join(f"  {name}: {describe(name)}" for name in preset_names())
BUILD = f"""
Examples:

  zoobench build-zoo --datasets mnist,cifar10

  zoobench build-zoo --spec cnn-hyp-10-fix-small --datasets mnist

  zoobench build-zoo --architectures my_package.models:my_net --image-size 16 --seeds 8

  zoobench build-zoo --spec my-zoo.yaml --ray-address auto --gpus-per-job 0.5 --out s3://bucket/my-zoo

Presets for --spec:

{PRESETS}
"""
INSPECT = """
Examples:

  zoobench zoo inspect

  zoobench zoo inspect zoos/mnist+cifar10-cnn_s

  zoobench zoo inspect s3://bucket/zoo
"""
VALIDATE = """
Examples:

  zoobench zoo validate

  zoobench zoo validate zoos/mnist-cnn_s --recompute 20 --data-root ~/data

  zoobench zoo validate s3://bucket/zoo
"""
IMPORT = """
Examples:

  zoobench zoo import downloads/tune_zoo_mnist_uniform --name mnist-uniform

  zoobench zoo import checkpoints --dataset cifar10 --architecture my_package.models:my_net

"""
EXPORT = """
Examples:

  zoobench zoo export --to modelzoos --out exported

  zoobench zoo export zoos/mnist-cnn_s --to safetensors --out exported

  zoobench zoo export --to huggingface --licence cc-by-4.0 --out dataset

"""
ZooPath = Annotated[
    str | None, typer.Argument(metavar="ZOO", help="A zoo's directory or URL.", show_default="the one built last")
]
Out = Annotated[str | None, typer.Option(help="Where the zoo goes: a directory or a URL.", show_default="zoos/NAME")]
SHOWN = 20  # problems on the screen; all of them are in the file


def _option(words: str, default: str | bool) -> Any:
    return typer.Option(help=words, show_default=default)


def build_zoo(
    datasets: Annotated[str | None, _option("Datasets, comma-separated.", "digits")] = None,
    architectures: Annotated[
        str | None, _option("Architectures, or functions package.module:function.", "cnn_s")
    ] = None,
    spec: Annotated[
        str | None, typer.Option(help="A preset of those below, or a YAML file; the options here override it.")
    ] = None,
    out: Out = None,
    name: Annotated[str | None, _option("Name of the zoo.", "datasets and architectures")] = None,
    width: Annotated[str | None, _option("Width multipliers.", "1")] = None,
    activation: Annotated[str | None, _option("tanh, relu, gelu, sigmoid.", "tanh")] = None,
    init: Annotated[str | None, _option("uniform, normal, kaiming_uniform, kaiming_normal.", "kaiming_uniform")] = None,
    optimizer: Annotated[str | None, _option("adam, sgd.", "adam")] = None,
    learning_rate: Annotated[str | None, _option("Learning rates.", "0.0003,0.001,0.003")] = None,
    weight_decay: Annotated[str | None, _option("Weight decays.", "0")] = None,
    dropout: Annotated[str | None, _option("Dropout rates.", "0")] = None,
    batch_size: Annotated[str | None, _option("Batch sizes.", "32")] = None,
    schedule: Annotated[str | None, _option("constant, onecycle.", "constant")] = None,
    augment: Annotated[bool | None, _option("Random crops and flips.", False)] = None,
    seeds: Annotated[int | None, _option("Seeds for each combination of the above.", "16")] = None,
    fixed_seeds: Annotated[bool | None, _option("The same seeds for every combination.", False)] = None,
    shared_order: Annotated[bool | None, _option("All models see the images in one order.", False)] = None,
    epochs: Annotated[int | None, _option("Epochs.", "6")] = None,
    checkpoint_epochs: Annotated[str | None, _option("Epochs to keep.", "every one")] = None,
    train_images: Annotated[int | None, _option("Training images at most.", "6000")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side, where the architecture leaves a choice.")
    ] = None,
    seed: Annotated[int | None, _option("First seed.", "0")] = None,
    data_root: DataRoot = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    gpus_per_job: GpusPerJob = None,
    stack_size: Annotated[
        int | None, typer.Option(min=1, help="Models trained at once.", show_default="what fits into memory")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a zoo: every combination of the values given, with several seeds each.

    The same command again trains only what is missing.
    """
    given = locals()
    from zoo_generation.training.spec import ZooSpec
    from zoobench.cli.zoo_tables import population_tables
    from zoobench.zoo import building, zoo_path
    from zoobench.zoo.inspection import inspect_zoo
    from zoobench.zoo.workspace import Workspace

    varied = {field: given[field] for field in ZooSpec.model_fields if field in given and field != "name"}
    fields = {field: listed(value) if isinstance(value, str) else value for field, value in varied.items()}
    zoo_spec = building.spec_of(spec, name=name, **fields)
    workspace = Workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    path = zoo_path(out) if out else inside(workspace.zoos, zoo_spec.title)
    with shown_progress() as progress:
        zoo = building.build_zoo(zoo_spec, path, workspace, progress, stack_size)
    report = inspect_zoo(zoo)
    show(asdict(report), *population_tables(report))


@app.callback()
def zoo() -> None:
    """Look at zoos, validate, import and export them."""


@app.command(epilog=INSPECT)
def inspect(
    path: ZooPath = None,
    architectures: UserArchitectures = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a zoo holds and what is missing, how accurate its models are, and what they cost.

    It may be used while the zoo is being built. The report also goes to results/, as JSON and as a plot.
    """
    from rich.filesize import decimal

    from zoobench.cli.zoo_tables import cost_table, population_tables
    from zoobench.zoo.inspection import inspect_zoo

    import_listed(architectures)
    report = inspect_zoo(_opened(path, home))
    file = report.save(home / "results")
    size = f"{decimal(report.bytes)} in {report.path}; {report.core_hours:.2f} core-hours on {report.hardware}"
    tables = [*population_tables(report), cost_table(report)]
    show(asdict(report), *tables, size, f"Report and plot: {file}, .png")


@app.command(epilog=VALIDATE)
def validate(
    path: ZooPath = None,
    recompute: Annotated[
        int, typer.Option(min=0, help="Checkpoints to draw, and evaluate again on test and validation images.")
    ] = 0,
    seed: Seed = 0,
    data_root: DataRoot = None,
    architectures: UserArchitectures = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a zoo: its card, files, checksums, tables, values and weights, and that metrics are what they should be.

    The exit code is 0 if the zoo is valid, and 2 if it is not. The report also goes to results/, as JSON.
    """
    from zoobench.cli.zoo_tables import check_table, recomputed_table
    from zoobench.zoo.validation import validate_zoo

    import_listed(architectures)
    with shown_progress() as progress:
        report = validate_zoo(_path(path, home), recompute, seed, data_root, progress)
    file = inside(home / "results", f"validation-{report.name}", ".json")
    report.save(file)
    sentences = [
        *(f"Note: {note}" for note in report.notes),
        *(f"✗ {problem}" for problem in report.problems[:SHOWN]),
        f"Report: {file}",
        *([f"✓ {report.verdict}"] if report.valid else []),
    ]
    again = [recomputed_table(report.recomputed)] if report.recomputed else []
    show(report.record(), check_table(report), *again, *sentences)
    if not report.valid:
        raise InputError(report.verdict + (f", all of which are in {file}" if len(report.problems) > 1 else ""))


@app.command("import", epilog=IMPORT)
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of trained networks.")],
    out: Out = None,
    name: Annotated[str | None, _option("Name of the zoo.", "the folder's")] = None,
    dataset: Annotated[str | None, _option("Dataset of the models whose files name none.", "none")] = None,
    architecture: Annotated[
        str | None, _option("The models' architecture, or a function package.module:function.", "recognised")
    ] = None,
    layout: Annotated[
        str | None, _option("How the folder is laid out: see 'zoobench list importers'.", "recognised")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import trained networks as a zoo: checkpoints, hyperparameters, what was measured.

    Nothing in the folder is run: pickles are read for tensors only. What is damaged or not recognised is left out and
    listed, on screen and in results/import-NAME.json. Weights become float32.
    """
    from zoobench.cli.zoo_tables import fault_tables, population_tables
    from zoobench.zoo import zoo_path
    from zoobench.zoo.importers import import_name, import_zoo
    from zoobench.zoo.inspection import inspect_zoo

    found = import_name(folder, name)
    path = zoo_path(out) if out else inside(home / "zoos", found)
    file = inside(home / "results", f"import-{found}", ".json")
    options: dict[str, Any] = {"layout": layout, "dataset": dataset, "architecture": architecture}
    with shown_progress() as progress:
        imported = import_zoo(folder, path, found, **options, report=file, progress=progress)
    left_out = f"; {len(imported.faults)} did not come in" if imported.faults else ""
    counts = f"{imported.models} models with {imported.checkpoints} checkpoints into {path}{left_out}: {file}"
    show(imported.record(), *population_tables(inspect_zoo(imported.zoo)), *fault_tables(imported), counts)


@app.command(epilog=EXPORT)
def export(
    to: Annotated[str, typer.Option(help="One of 'zoobench list exporters'.")],
    out: Annotated[Path, typer.Option(help="Where the export goes: a folder that does not exist yet.")],
    path: ZooPath = None,
    licence: Annotated[
        str | None, _option("Of a Hugging Face dataset: the licence's identifier there.", "not stated")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a zoo in another layout.

    'zoobench zoo import' reads the first two back as they were.
    """
    from zoobench.zoo.exporters import export_zoo

    exported = _opened(path, home)
    with shown_progress() as progress:
        export_zoo(exported, to, out, licence, progress)
    counts = {"models": len(exported.models), "checkpoints": len(exported.checkpoints)}
    sentence = f"{counts['models']} models and {counts['checkpoints']} checkpoints of zoo {exported.name}: {out}"
    show({"zoo": exported.name, "to": to, "out": str(out), **counts}, sentence)


def _path(path: str | None, home: Path) -> StoragePath:
    from zoobench.zoo import latest_zoo, zoo_path

    return zoo_path(path) if path else latest_zoo(home / "zoos")


def _opened(path: str | None, home: Path) -> Zoo:
    from zoobench.zoo import Zoo

    return Zoo(_path(path, home))
