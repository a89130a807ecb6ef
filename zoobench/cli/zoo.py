"""`zoobench build-zoo` and `zoobench zoo`: build, inspect, validate, measure, import and export zoos."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import zoobench as zb
from zoo_generation.errors import InputError
from zoo_generation.names import inside
from zoobench.catalogue import catalogue
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
    Settings,
    UserArchitectures,
    Workers,
    assigned,
    examples,
    import_listed,
    listed,
    option,
)
from zoobench.cli.tables import check_table, cost_table, fault_tables, frame_table, population_tables, recomputed_table

app = typer.Typer(no_args_is_help=True, help="Look at zoos, validate, measure, import and export them.")

BUILD = "\n\n".join(
    [
        examples(
            "build-zoo --datasets mnist,cifar10",
            "build-zoo --spec cnn-hyp-10-fix-small --datasets mnist",
            "build-zoo --architectures my_package.models:my_net --image-size 16 --seeds 8",
            "build-zoo --spec my-zoo.yaml --ray-address auto --gpus-per-job 0.5 --out s3://bucket/my-zoo",
        ),
        "Presets for --spec:",
        *(f"  {preset.name}: {preset.summary}" for preset in catalogue("presets")),
    ]
)
ZooPath = Annotated[
    str | None, typer.Argument(metavar="ZOO", help="A zoo's directory or URL.", show_default="the one built last")
]
Out = Annotated[str | None, option("Where the zoo goes: a directory or a URL.", "zoos/NAME")]
SHOWN = 20  # problems on the screen; all of them are in the file


def build_zoo(
    datasets: Annotated[str | None, option("Datasets, comma-separated.", "digits")] = None,
    architectures: Annotated[str | None, option("Architectures, or package.module:function.", "cnn_s")] = None,
    spec: Annotated[str | None, option("A preset of those below, or a YAML file; other options override it.")] = None,
    out: Out = None,
    name: Annotated[str | None, option("Name of the zoo.", "datasets and architectures")] = None,
    width: Annotated[str | None, option("Width multipliers.", "1")] = None,
    activation: Annotated[str | None, option("tanh, relu, gelu, sigmoid.", "tanh")] = None,
    init: Annotated[str | None, option("uniform, normal, kaiming_uniform, kaiming_normal.", "kaiming_uniform")] = None,
    optimizer: Annotated[str | None, option("adam, sgd.", "adam")] = None,
    learning_rate: Annotated[str | None, option("Learning rates.", "0.0003,0.001,0.003")] = None,
    weight_decay: Annotated[str | None, option("Weight decays.", "0")] = None,
    dropout: Annotated[str | None, option("Dropout rates.", "0")] = None,
    batch_size: Annotated[str | None, option("Batch sizes.", "32")] = None,
    schedule: Annotated[str | None, option("constant, onecycle.", "constant")] = None,
    augment: Annotated[bool | None, option("Random crops and flips.", False)] = None,
    seeds: Annotated[int | None, option("Seeds for each combination of the above.", "16")] = None,
    fixed_seeds: Annotated[bool | None, option("The same seeds for every combination.", False)] = None,
    shared_order: Annotated[bool | None, option("All models see the images in one order.", False)] = None,
    epochs: Annotated[int | None, option("Epochs.", "6")] = None,
    checkpoint_epochs: Annotated[str | None, option("Epochs to keep.", "every one")] = None,
    train_images: Annotated[int | None, option("Training images at most.", "6000")] = None,
    part: Annotated[str | None, option("Parts of the images, such as iid-0-of-2,iid-1-of-2.", "all images")] = None,
    image_size: Annotated[int | None, option("Pixels a side, where the architecture leaves a choice.")] = None,
    channels: Annotated[int | None, option("Convert images to grey (1) or RGB (3).", "the dataset's own")] = None,
    seed: Annotated[int | None, option("First seed.", "0")] = None,
    data_root: DataRoot = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    gpus_per_job: GpusPerJob = None,
    stack_size: Annotated[int | None, option("Models trained at once.", "what fits into memory", min=1)] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a zoo: every combination of the values given, with several seeds each.

    The same command again trains only what is missing.
    """
    given = locals()
    fields = {field: given[field] for field in zb.ZooSpec.model_fields if field in given}
    fields |= {field: listed(value) for field, value in fields.items() if isinstance(value, str) and field != "name"}
    workspace = zb.Workspace(home, data_root, device, workers, ray_address, cpus_per_job, gpus_per_job)
    with shown_progress() as progress:
        zoo = zb.build_zoo(
            spec, out=out or None, stack_size=stack_size, workspace=workspace, progress=progress, **fields
        )
    report = zb.inspect_zoo(zoo)
    show(asdict(report), *population_tables(report))


@app.command(epilog=examples("zoo inspect", "zoo inspect zoos/mnist+cifar10-cnn_s", "zoo inspect s3://bucket/zoo"))
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

    import_listed(architectures)
    workspace = zb.Workspace(home)
    report = zb.inspect_zoo(zb.load_zoo(path or None, workspace=workspace))
    file = report.save(workspace.results)
    size = f"{decimal(report.bytes)} in {report.path}; {report.core_hours:.2f} core-hours on {report.hardware}"
    tables = [*population_tables(report), cost_table(report)]
    show(asdict(report), *tables, size, f"Report and plot: {file}, .png")


@app.command(
    epilog=examples("zoo validate", "zoo validate zoos/mnist-cnn_s --recompute 20", "zoo validate s3://bucket/zoo")
)
def validate(
    path: ZooPath = None,
    recompute: Annotated[int, option("Checkpoints to draw, and evaluate again on their images.", min=0)] = 0,
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
    import_listed(architectures)
    workspace = zb.Workspace(home, data_root)
    with shown_progress() as progress:
        report = zb.validate_zoo(path or None, recompute=recompute, seed=seed, workspace=workspace, progress=progress)
    file = inside(workspace.results, f"validation-{report.name}", ".json")
    report.save(file)
    sentences = [
        *(f"Note: {note}" for note in report.notes),
        *(f"✗ {problem}" for problem in report.problems[:SHOWN]),
        f"Report: {file}",
        *([f"✓ {report.verdict}"] if report.valid else []),
    ]
    again = [recomputed_table(report)] if report.recomputed else []
    show(report.record(), check_table(report), *again, *sentences)
    if not report.valid:
        raise InputError(report.verdict + (f", all of which are in {file}" if len(report.problems) > 1 else ""))


@app.command(epilog=examples("zoo landscape", "zoo landscape zoos/phases --epoch 6", "zoo landscape --rule loss=0.1"))
def landscape(
    path: ZooPath = None,
    epoch: Annotated[int | None, option("The epoch after which models are measured.", "by schedule", min=0)] = None,
    rule: Annotated[str | None, option("Thresholds of the phases: loss, connectivity, likeness.", "published")] = None,
    settings: Settings = None,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the loss landscape around a zoo's models: curvature, connectivity, likeness; and draw maps of its phases.

    What is measured goes into the zoo; the same command again measures only what is missing. Maps go to results/.
    """
    import_listed(architectures)
    workspace, how = zb.Workspace(home, data_root, device, workers, ray_address), assigned(settings)
    with shown_progress() as progress:
        report = zb.measure_landscape(
            path or None, epoch=epoch, rule=assigned(rule), workspace=workspace, progress=progress, **how
        )
    phases = [frame_table(f"Phases: {title}", grid.reset_index()) for title, grid in report.grids("phase")]
    tables = [frame_table("By phase", report.by_phase()), *phases]
    show(report.record(), *tables, f"Cells as JSON, and a page of maps: {report.save(workspace.results)}")


@app.command(
    "import",
    epilog=examples("zoo import downloads/tune_zoo_mnist_uniform", "zoo import checkpoints --dataset cifar10"),
)
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of trained networks.")],
    out: Out = None,
    name: Annotated[str | None, option("Name of the zoo.", "the folder's")] = None,
    dataset: Annotated[str | None, option("Dataset of the models whose files name none.", "none")] = None,
    architecture: Annotated[
        str | None, option("The models' architecture, or a function package.module:function.", "recognised")
    ] = None,
    layout: Annotated[str | None, option("The folder's layout: 'zoobench list importers'.", "recognised")] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import trained networks as a zoo: checkpoints, hyperparameters, what was measured.

    Nothing in the folder is run: pickles are read for tensors only. What is damaged or not recognised is left out and
    listed, on screen and in results/import-NAME.json. Weights become float32.
    """
    told: dict[str, Any] = {"name": name, "layout": layout, "dataset": dataset, "architecture": architecture}
    with shown_progress() as progress:
        imported = zb.import_zoo(folder, out=out or None, workspace=zb.Workspace(home), progress=progress, **told)
    left_out = f"; {len(imported.faults)} did not come in" if imported.faults else ""
    counts = f"{imported.models} models with {imported.checkpoints} checkpoints into {imported.path}{left_out}"
    tables = [*population_tables(zb.inspect_zoo(imported.zoo)), *fault_tables(imported)]
    show(imported.record(), *tables, f"{counts}: {imported.report}")


@app.command(
    epilog=examples("zoo export --to modelzoos --out mine", "zoo export --to huggingface --licence mit --out dataset")
)
def export(
    to: Annotated[str, typer.Option(help="One of 'zoobench list exporters'.")],
    out: Annotated[Path, typer.Option(help="Where the export goes: a folder that does not exist yet.")],
    path: ZooPath = None,
    licence: Annotated[str | None, option("Of a Hugging Face dataset: the licence's identifier.", "not stated")] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a zoo in another layout.

    'zoobench zoo import' reads the first two back as they were.
    """
    zoo = zb.load_zoo(path or None, workspace=zb.Workspace(home))
    with shown_progress() as progress:
        zb.export_zoo(zoo, to, out, licence=licence, progress=progress)
    counts = {"models": len(zoo.models), "checkpoints": len(zoo.checkpoints)}
    sentence = f"{counts['models']} models and {counts['checkpoints']} checkpoints of zoo {zoo.name}: {out}"
    show({"zoo": zoo.name, "to": to, "out": str(out), **counts}, sentence)
