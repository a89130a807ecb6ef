"""`zoobench build-zoo`: train a zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoobench.cli.options import DataRoot, Home, listed

EXAMPLES = """
Examples:

  zoobench build-zoo --datasets mnist,cifar10

  zoobench build-zoo --datasets digits --architectures resnet18 --width 0.0625 --image-size 16 --seeds 8

  zoobench build-zoo --spec my-zoo.yaml --ray-address auto
"""


def build_zoo(
    datasets: Annotated[str | None, typer.Option(help="Datasets, comma-separated.", show_default="digits")] = None,
    architectures: Annotated[str | None, typer.Option(help="Architectures.", show_default="cnn_s")] = None,
    spec: Annotated[Path | None, typer.Option(help="A ZooSpec in YAML; the options here override it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the zoo goes.", show_default="zoos/NAME")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the zoo.", show_default="datasets and architectures")
    ] = None,
    width: Annotated[str | None, typer.Option(help="Width multipliers.", show_default="1")] = None,
    activation: Annotated[str | None, typer.Option(help="tanh, relu, gelu, sigmoid.", show_default="tanh")] = None,
    init: Annotated[
        str | None,
        typer.Option(help="uniform, normal, kaiming_uniform, kaiming_normal.", show_default="kaiming_uniform"),
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
    epochs: Annotated[int | None, typer.Option(help="Epochs.", show_default="6")] = None,
    checkpoint_epochs: Annotated[str | None, typer.Option(help="Epochs to keep.", show_default="every one")] = None,
    train_images: Annotated[int | None, typer.Option(help="Training images at most.", show_default="6000")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side, where the architecture leaves a choice.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed.", show_default="0")] = None,
    data_root: DataRoot = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes of a local Ray.", show_default="all cores")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(envvar="RAY_ADDRESS", help="A Ray cluster.", show_default="one started here")
    ] = None,
    home: Home = Path(),
) -> None:
    """Train a zoo: every combination of the values given, with several seeds each.

    The same command again trains only what is missing.
    """
    from zoo_generation.spec import make_spec, read_spec
    from zoobench.cli.building import build

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
        "epochs": epochs,
        "checkpoint_epochs": listed(checkpoint_epochs),
        "train_images": train_images,
        "image_size": image_size,
        "seed": seed,
    }
    values = {"datasets": ["digits"]} | (read_spec(spec) if spec else {})
    values |= {field: value for field, value in given.items() if value is not None}
    zoo_spec = make_spec(values)
    build(
        zoo_spec,
        out or home / "zoos" / zoo_spec.title,
        data_root=data_root,
        workers=workers,
        ray_address=ray_address,
    )
