"""`zoobench zoo`: look at a zoo, and validate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import DataRoot, Home, Seed, UserArchitectures, import_listed

app = typer.Typer(no_args_is_help=True, help="Look at zoos, and validate them.")

EXAMPLES = """
Examples:

  zoobench zoo inspect

  zoobench zoo inspect zoos/mnist+cifar10-cnn_s

  zoobench zoo inspect s3://bucket/zoo
"""

VALIDATE_EXAMPLES = """
Examples:

  zoobench zoo validate

  zoobench zoo validate zoos/mnist-cnn_s --recompute 20 --data-root ~/data

  zoobench zoo validate s3://bucket/zoo
"""


@app.callback()
def zoo() -> None:
    """Look at zoos, and validate them."""


@app.command(epilog=EXAMPLES)
def inspect(
    path: Annotated[
        str | None, typer.Argument(metavar="ZOO", help="A zoo's directory or URL.", show_default="the one built last")
    ] = None,
    architectures: UserArchitectures = None,
    home: Home = Path(),
) -> None:
    """Show what a zoo holds and what is missing yet, how accurate its models are, and what they cost.

    It may be used while the zoo is being built. The report also goes to results/, as JSON and as a plot.
    """
    from zoobench.cli.inspecting import show
    from zoobench.zoo import Zoo, latest_zoo, zoo_path
    from zoobench.zoo.inspection import inspect as inspect_zoo

    import_listed(architectures)
    place = zoo_path(path) if path else latest_zoo(home / "zoos")
    show(inspect_zoo(Zoo(place)), home / "results")


@app.command(epilog=VALIDATE_EXAMPLES)
def validate(
    path: Annotated[
        str | None, typer.Argument(metavar="ZOO", help="A zoo's directory or URL.", show_default="the one built last")
    ] = None,
    recompute: Annotated[
        int, typer.Option(min=0, help="Checkpoints to draw, and evaluate again on test and validation images.")
    ] = 0,
    seed: Seed = 0,
    data_root: DataRoot = None,
    architectures: UserArchitectures = None,
    home: Home = Path(),
) -> None:
    """Check a zoo: its card, files, checksums, tables, values and weights, and that metrics are what they should be.

    The exit code is 0 where it is valid, and 2 where it is not. The report also goes to results/, as JSON.
    """
    from zoobench.cli.validating import run
    from zoobench.zoo import latest_zoo, zoo_path

    import_listed(architectures)
    place = zoo_path(path) if path else latest_zoo(home / "zoos")
    run(place, recompute, seed, data_root, home / "results")
