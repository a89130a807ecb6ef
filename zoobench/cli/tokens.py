"""`zoobench tokens`: make token sets of zoos, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoobench.cli.options import Home, Seed, Statuses, Zoos, listed, opened_zoos

app = typer.Typer(no_args_is_help=True, help="Make token sets of zoos, and check them.")

BUILD_EXAMPLES = """
Examples:

  zoobench tokens build

  zoobench tokens build --zoo zoos/mnist-cnn_s,zoos/cifar10-resnet18 --token-size 288 --dtype bfloat16

  zoobench tokens build --statuses trained --no-batch-norm --out tokens/mine
"""
VALIDATE_EXAMPLES = """
Example:

  zoobench tokens validate tokens/mnist-cnn_s
"""
TokenSetPath = Annotated[Path, typer.Argument(metavar="DIR", help="A token set's directory.")]


@app.callback()
def tokens() -> None:
    """Make token sets of zoos, and check them."""


@app.command(epilog=BUILD_EXAMPLES)
def build(
    zoo: Zoos = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the token set.", show_default="tokens/<zoos>")] = None,
    token_size: Annotated[
        int | None,
        typer.Option(
            min=0, help="Elements of a token; 0: the longest row.", show_default="the longest row, at most 288"
        ),
    ] = None,
    batch_norm: Annotated[bool, typer.Option(help="Whether BatchNorm's weight and bias are tokens.")] = True,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"], typer.Option(help="How weights are stored.")
    ] = "float32",
    statuses: Statuses = "trained,at_chance",
    seed: Seed = 0,
    home: Home = Path(),
) -> None:
    """Collect the checkpoints of zoos into a token set, split by model into train, val and test.

    Without --zoo it takes the zoo that was built last. The format is that of docs/format.md.
    """
    from zoo_generation.names import inside
    from zoobench.cli.tokenizing import build_token_set
    from zoobench.populations import kept_statuses, select_checkpoints

    zoos = opened_zoos(zoo, home)
    selected = select_checkpoints(zoos, token_size, seed, kept_statuses(listed(statuses) or []), batch_norm=batch_norm)
    build_token_set(out or inside(home / "tokens", "+".join(each.name for each in zoos)), selected, dtype)


@app.command(epilog=VALIDATE_EXAMPLES)
def validate(path: TokenSetPath) -> None:
    """Check a token set: checksums, columns, types, splits, finite weights, and that they can be mapped."""
    from zoobench.cli.tokenizing import validate_token_set

    validate_token_set(path)
