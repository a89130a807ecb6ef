"""`zoobench train`: fit a method to zoos, and keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import (
    Device,
    Home,
    Seed,
    Settings,
    Statuses,
    UserArchitectures,
    Zoos,
    assigned,
    import_listed,
    listed,
    opened_zoos,
)

EXAMPLES = """
Examples:

  zoobench train --model sane --zoo zoos/mnist+cifar10-cnn_s

  zoobench train --tokens tokens/mine --preset small --set normalization=batch,window=32 --log-dir runs/tensorboard

  zoobench train --preset paper --device cuda --workers 8 --ray-address auto

The same command again goes on with a training that was interrupted.
"""


def train(
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    preset: Annotated[
        str | None,
        typer.Option(help="One of the method's configurations, such as tiny or paper.", show_default="its first"),
    ] = None,
    settings: Settings = None,
    zoo: Zoos = None,
    tokens: Annotated[
        Path | None, typer.Option(help="A token set, instead of zoos: see 'zoobench tokens build'.")
    ] = None,
    statuses: Statuses = "trained,at_chance",
    out: Annotated[
        Path | None, typer.Option(help="Where the trained method goes.", show_default="models/<zoos>-<method>-<seed>")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that share each batch, one a GPU where asked.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(envvar="RAY_ADDRESS", help="A Ray cluster for the workers.", show_default="local")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    wandb: Annotated[str | None, typer.Option(help="Project in Weights & Biases that losses go to.")] = None,
    architectures: UserArchitectures = None,
    home: Home = Path(),
) -> None:
    """Train a method on the training models of zoos, and keep it for 'zoobench embed' and 'zoobench generate'."""
    from zoo_generation.kept import check
    from zoo_generation.names import inside
    from zoobench.cli.training import train_method
    from zoobench.methods.protocols import Execution
    from zoobench.methods.registry import get_method
    from zoobench.populations import TokenSet, kept_statuses, select_checkpoints

    import_listed(architectures)
    method = get_method(model)
    config = method.config(preset, assigned(settings))
    if tokens is not None:
        name, token_set = tokens.name, TokenSet.read(tokens)
        check(tokens, "the token set", "restore it, or make it again with 'zoobench tokens build'")
    else:
        zoos = opened_zoos(zoo, home)
        name = "+".join(each.name for each in zoos)
        token_set = TokenSet.load(select_checkpoints(zoos, statuses=kept_statuses(listed(statuses) or [])))
    token_set = token_set.bounded()
    execution = Execution(device=device, workers=workers, ray_address=ray_address, log_dir=log_dir, wandb=wandb)
    title = f"{name}-{method.name}-{seed}"
    place = out or inside(home / "models", title)
    train_method(method, config, token_set, seed, execution, title, place, home / "results")
