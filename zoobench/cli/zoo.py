"""`zoobench zoo`: look at a zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import Home, UserArchitectures, import_listed

app = typer.Typer(no_args_is_help=True, help="Look at zoos.")

EXAMPLES = """
Examples:

  zoobench zoo inspect

  zoobench zoo inspect zoos/mnist+cifar10-cnn_s

  zoobench zoo inspect s3://bucket/zoo
"""


@app.callback()
def zoo() -> None:
    """Look at zoos."""


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
