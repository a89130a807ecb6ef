"""`zoobench embed`: embeddings of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import (
    Home,
    Kept,
    Seed,
    Statuses,
    UserArchitectures,
    Zoos,
    import_listed,
    listed,
    opened_zoos,
)

EXAMPLES = """
Examples:

  zoobench embed zoos/mnist-cnn_s

  zoobench embed zoos/mnist-cnn_s,zoos/cifar10-resnet18 --from my-sane --layers

  zoobench embed --population mnist-cnn_s-1x28 --checkpoint 1f2e3d4c5b6a7988:5
"""


def embed(
    zoo: Annotated[
        str | None,
        typer.Argument(
            metavar="ZOO", help="Zoo directories or URLs, comma-separated.", show_default="the one built last"
        ),
    ] = None,
    population: Annotated[str | None, typer.Option(help="One population, by name.", show_default="all")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="ID[:EPOCH]", help="One model or checkpoint.", show_default="all")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="An embedding of each layer.")] = False,
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    kept: Kept = None,
    preset: Annotated[
        str | None, typer.Option(help="Configuration of the method to train, without --from.", show_default="its first")
    ] = None,
    trained_on: Zoos = None,
    statuses: Statuses = "trained,at_chance",
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the embeddings.", show_default="results/embeddings-<zoos>-<model>")
    ] = None,
    home: Home = Path(),
) -> None:
    """Embed the checkpoints of zoos: a Parquet file a population, with a row a checkpoint, or a checkpoint and layer.

    Without --from the method is trained on the zoos of --zoo (by default, those that are embedded), or read if
    'zoobench eval' has trained it.
    """
    from zoobench.cli.embedding import Chosen, embed_zoos
    from zoobench.methods.registry import get_method
    from zoobench.populations import kept_statuses

    import_listed(architectures)
    method = get_method(model)
    zoos = opened_zoos(zoo, home)
    embed_zoos(
        zoos,
        opened_zoos(trained_on, home) if trained_on else zoos,
        method,
        method.config(preset),
        kept,
        kept_statuses(listed(statuses) or []),
        Chosen.of(population, checkpoint),
        layers,
        seed,
        out,
        home,
    )
