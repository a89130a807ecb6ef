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

IMPORT_EXAMPLES = """
Examples:

  zoobench zoo import downloads/tune_zoo_mnist_uniform --name mnist-uniform

  zoobench zoo import checkpoints --dataset cifar10 --architecture my_package.models:my_net

Layouts for --layout: see 'zoobench list importers'.
"""
EXPORT_EXAMPLES = """
Examples:

  zoobench zoo export --to modelzoos --out exported

  zoobench zoo export zoos/mnist-cnn_s --to safetensors --out exported

  zoobench zoo export --to huggingface --licence cc-by-4.0 --out dataset

Targets for --to: see 'zoobench list exporters'.
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


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of trained networks.")],
    out: Annotated[
        str | None, typer.Option(help="Where the zoo goes: a directory or a URL.", show_default="zoos/NAME")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the zoo.", show_default="the folder's")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset of the models whose files name none.", show_default="none")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="The models' architecture, or a function package.module:function.", show_default="recognised"
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="How the folder is laid out, see below.", show_default="recognised")
    ] = None,
    home: Home = Path(),
) -> None:
    """Import trained networks as a zoo: checkpoints, hyperparameters, what was measured.

    Nothing in the folder is run: pickles are read for tensors only. What is damaged or not recognised is left out and
    listed, on screen and in results/import-NAME.json. Weights become float32.
    """
    from zoo_generation.names import inside
    from zoobench.cli.importing import import_into, name_of
    from zoobench.zoo import zoo_path

    found = name_of(folder, name)
    place = zoo_path(out) if out else inside(home / "zoos", found)
    import_into(folder, place, found, home / "results", layout=layout, dataset=dataset, architecture=architecture)


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    to: Annotated[str, typer.Option(help="What to export to, see below.")],
    out: Annotated[Path, typer.Option(help="Where the export goes: a folder that is not there yet.")],
    path: Annotated[
        str | None, typer.Argument(metavar="ZOO", help="A zoo's directory or URL.", show_default="the one built last")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="Of a Hugging Face dataset: the licence's identifier there.", show_default="not stated"),
    ] = None,
    home: Home = Path(),
) -> None:
    """Write a zoo in another layout.

    'zoobench zoo import' reads the first two back as they were.
    """
    from zoobench.cli.console import console, counting
    from zoobench.zoo import Zoo, latest_zoo, zoo_path
    from zoobench.zoo.exporters import export_zoo

    zoo = Zoo(zoo_path(path) if path else latest_zoo(home / "zoos"))
    with counting("exporting") as told:
        export_zoo(zoo, to, out, told, licence)
    console.print(f"{len(zoo.models)} models and {len(zoo.checkpoints)} checkpoints of zoo {zoo.name}: {out}")
