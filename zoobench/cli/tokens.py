"""`zoobench tokens`: make token sets of zoos, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import zoobench as zb
from zoo_generation.errors import InputError
from zoo_generation.names import inside
from zoobench.cli.console import Table, console, show, shown_progress, styled, table
from zoobench.cli.options import Home, Json, Quiet, Seed, Statuses, Zoos, examples, listed, opened

app = typer.Typer(no_args_is_help=True, help="Make token sets of zoos, and check them.")

BUILD_EXAMPLES = examples(
    "tokens build",
    "tokens build --zoo zoos/mnist-cnn_s,zoos/cifar10-resnet18 --token-size 288 --dtype bfloat16",
    "tokens build --statuses trained --no-batch-norm --out tokens/mine",
)
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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Collect the checkpoints of zoos into a token set, split by model into train, val and test.

    Without --zoo it takes the zoo that was built last. The format is that of docs/format.md.
    """
    zoos, name = opened(zoo, home)
    path = out or inside(home / "tokens", name)
    with shown_progress() as progress:
        how: dict[str, Any] = {"token_size": token_size, "batch_norm": batch_norm, "seed": seed, "progress": progress}
        made = zb.save_tokens(zoos, path, dtype=dtype, statuses=listed(statuses) or [], **how)
    show(record_of(path, made), content_table(path, made), f"Token set: {path} (zoobench tokens validate {path})")


@app.command(epilog=examples("tokens validate tokens/mnist-cnn_s"))
def validate(path: TokenSetPath, json: Json = False, quiet: Quiet = False) -> None:
    """Check a token set: checksums, columns, types, splits, finite weights, and that they can be mapped."""
    with console.status(f"Checking {path}"):
        problems = zb.validate_tokens(path)
    for problem in problems[1:]:
        console.print(styled("✗", "red"), problem)
    if problems:
        more = f" ({len(problems) - 1} more problems above)" if len(problems) > 1 else ""
        raise InputError(f"{path} is not a sound token set: {problems[0]}{more}")
    found = zb.load_tokens(path)
    sound = styled("✓ ", "green").append(styled(f"{path} is sound"))
    show(record_of(path, found), content_table(path, found), sound)


def record_of(path: Path, tokens: zb.TokenSet) -> dict[str, Any]:
    """What is in a token set."""
    return {
        "path": str(path),
        "token_size": tokens.token_size,
        "populations": {
            each.name: {
                **{split: len(each.split(split)) for split in ("train", "val", "test")},
                "tokens": len(each.tokenizer),
                "layers": len(each.tokenizer.layers),
                "bytes": (path / f"{each.name}.parquet").stat().st_size,
            }
            for each in tokens.populations
        },
    }


def content_table(path: Path, tokens: zb.TokenSet) -> Table:
    """One row per population: checkpoints by split, tokens of each, bytes."""
    from rich.filesize import decimal

    names = ["train", "val", "test", "tokens", "layers"]
    result = table(f"Token set {path.name}: tokens of {tokens.token_size}", ["population"], [*names, "size"])
    for number, column in enumerate(result.columns):
        column.no_wrap = number > 0  # the name is what may be folded
    result.columns[0].overflow = "fold"
    for population, counts in record_of(path, tokens)["populations"].items():
        result.add_row(population, *(str(counts[name]) for name in names), decimal(counts["bytes"]))
    return result
