"""`zoobench build-zoo`: train a zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo_generation.networks.registry import ACTIVATIONS, INITIALIZATIONS
from zoo_generation.training.presets import describe, preset_names
from zoobench.cli.options import CpusPerJob, DataRoot, Device, GpusPerJob, Home, RayAddress, Workers, listed

PRESETS = "\n\n".join(f"  {name}: {describe(name)}" for name in preset_names())

EXAMPLES = f"""
Examples:

  zoobench build-zoo --datasets mnist,cifar10

  zoobench build-zoo --spec cnn-hyp-10-fix-small --datasets mnist

  zoobench build-zoo --architectures my_package.models:my_net --image-size 16 --seeds 8

  zoobench build-zoo --spec my-zoo.yaml --ray-address auto --gpus-per-job 0.5 --out s3://bucket/my-zoo

Presets for --spec:

{PRESETS}
"""


def build_zoo(
    datasets: Annotated[str | None, typer.Option(help="Datasets, comma-separated.", show_default="digits")] = None,
    architectures: Annotated[
        str | None, typer.Option(help="Architectures, or functions package.module:function.", show_default="cnn_s")
    ] = None,
    spec: Annotated[
        str | None, typer.Option(help="A preset of those below, or a YAML file; the options here override it.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Where the zoo goes: a directory or a URL.", show_default="zoos/NAME")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the zoo.", show_default="datasets and architectures")
    ] = None,
    width: Annotated[str | None, typer.Option(help="Width multipliers.", show_default="1")] = None,
    activation: Annotated[str | None, typer.Option(help=f"{', '.join(ACTIVATIONS.own)}.", show_default="tanh")] = None,
    init: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(INITIALIZATIONS.own)}.", show_default="kaiming_uniform"),
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, sgd.", show_default="adam")] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help="Learning rates.", show_default="0.0003,0.001,0.003")
    ] = None,
    weight_decay: Annotated[str | None, typer.Option(help="Weight decays.", show_default="0")] = None,
    dropout: Annotated[str | None, typer.Option(help="Dropout rates.", show_default="0")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Batch sizes.", show_default="32")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, onecycle.", show_default="constant")] = None,
    augment: Annotated[bool | None, typer.Option(help="Random crops and flips.", show_default=False)] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds for each combination of the above.", show_default="16")
    ] = None,
    fixed_seeds: Annotated[
        bool | None, typer.Option(help="The same seeds for every combination.", show_default=False)
    ] = None,
    shared_order: Annotated[
        bool | None, typer.Option(help="All models see the images in one order.", show_default=False)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", show_default="6")] = None,
    checkpoint_epochs: Annotated[str | None, typer.Option(help="Epochs to keep.", show_default="every one")] = None,
    train_images: Annotated[int | None, typer.Option(help="Training images at most.", show_default="6000")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side, where the architecture leaves a choice.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed.", show_default="0")] = None,
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
) -> None:
    """Train a zoo: every combination of the values given, with several seeds each.

    The same command again trains only what is missing.
    """
    from zoo_generation.names import inside
    from zoo_generation.networks.architectures import import_architecture
    from zoo_generation.training.cluster import Resources
    from zoo_generation.training.spec import make_spec, read_spec
    from zoobench.cli.building import build
    from zoobench.zoo import zoo_path

    given: dict[str, Any] = {
        "name": name,
        "datasets": listed(datasets),
        "architectures": listed(architectures),
        "width": listed(width),
        "activation": listed(activation),
        "init": listed(init),
        "optimizer": listed(optimizer),
        "learning_rate": listed(learning_rate),
        "weight_decay": listed(weight_decay),
        "dropout": listed(dropout),
        "batch_size": listed(batch_size),
        "schedule": listed(schedule),
        "augment": augment,
        "seeds": seeds,
        "fixed_seeds": fixed_seeds,
        "shared_order": shared_order,
        "epochs": epochs,
        "checkpoint_epochs": listed(checkpoint_epochs),
        "train_images": train_images,
        "image_size": image_size,
        "seed": seed,
    }
    values = {"datasets": ["digits"]} | (read_spec(spec) if spec else {})
    values |= {field: value for field, value in given.items() if value is not None}
    if spec in preset_names():
        values.setdefault("name", f"{spec}-{'+'.join(listed(datasets) or values['datasets'])}")
    zoo_spec = make_spec(values)
    for architecture in zoo_spec.user_architectures():
        import_architecture(architecture)
    build(
        zoo_spec,
        zoo_path(out) if out else inside(home / "zoos", zoo_spec.title),
        data_root=data_root,
        workers=workers,
        ray_address=ray_address,
        resources=Resources.of(device, cpus_per_job, gpus_per_job),
        stack_size=stack_size,
    )
