"""Token sets, with progress and tables."""

from __future__ import annotations

from pathlib import Path

from rich.filesize import decimal

from zoo_generation.errors import InputError
from zoobench.cli.console import Table, console, counting, styled, table
from zoobench.populations import TokenSet, write_token_set
from zoobench.populations.card import Dtype
from zoobench.populations.schema import SPLITS
from zoobench.populations.selection import Selected
from zoobench.populations.validation import problems_of


def build_token_set(path: Path, selected: Selected, dtype: Dtype) -> None:
    """Write a token set with a bar, and print what is in it; raises `InputError` where it cannot be written."""
    if path.exists() and not (path / "tokens.json").is_file():
        raise InputError(f"{path} is there, and is no token set that could be replaced; choose another --out")
    with counting("writing") as told:
        try:
            tokens = write_token_set(path, selected, dtype, lambda done: told(done, len(selected)))
        except OSError as error:
            raise InputError(f"cannot write {path} ({error.strerror or error}); choose another --out") from None
    console.print(content_table(path, tokens))
    console.print(f"Token set: {path} (zoobench tokens validate {path})")


def content_table(path: Path, tokens: TokenSet) -> Table:
    """One row a population: checkpoints by split, tokens of each, bytes."""
    result = table(
        f"Token set {path.name}: tokens of {tokens.token_size}",
        ["population"],
        [*SPLITS, "tokens", "layers", "size"],
    )
    for number, column in enumerate(result.columns):
        column.no_wrap = number > 0  # the name is what may be folded
    result.columns[0].overflow = "fold"
    for population in tokens.populations:
        counts = [str(int((population.splits == number).sum())) for number in range(len(SPLITS))]
        tokenizer = population.tokenizer
        size = decimal((path / f"{population.name}.parquet").stat().st_size)
        result.add_row(population.name, *counts, str(len(tokenizer)), str(len(tokenizer.layers)), size)
    return result


def validate_token_set(path: Path) -> None:
    """Print what is wrong with a token set, or what is in it; raises `InputError` where something is."""
    with console.status(f"Checking {path}"):
        problems = list(problems_of(path))
    for problem in problems[1:]:
        console.print(styled("✗", "red"), problem)
    if problems:
        more = f" ({len(problems) - 1} more problems above)" if len(problems) > 1 else ""
        raise InputError(f"{path} is no sound token set: {problems[0]}{more}")
    console.print(content_table(path, TokenSet.read(path)))
    console.print(styled("✓", "green"), f"{path} is sound")
