"""`zoobench eval`: measure a method on zoos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import DataRoot, Home, Seed, UserArchitectures, import_listed, listed

EXAMPLES = """
Examples:

  zoobench eval --model sane

  zoobench eval --model sane --zoo zoos/mnist+cifar10-cnn_s --preset tiny --seeds 5

  zoobench eval --zoo s3://bucket/zoo --statuses trained
"""


def evaluate(
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    preset: Annotated[
        str | None,
        typer.Option(help="One of the method's configurations, such as tiny or paper.", show_default="its first"),
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Zoo directories or URLs, comma-separated.", show_default="the one built last")
    ] = None,
    statuses: Annotated[
        str, typer.Option(help="Models to take, by status; those that diverged are never taken.")
    ] = "trained,at_chance",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to train and sample with; results are mean ± std.")] = 3,
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    home: Home = Path(),
) -> None:
    """Train a method on zoos, and measure what it predicts and generates beside the baselines.

    Without --zoo it takes the zoo that was built last. What is expensive is kept under runs/.
    """
    from zoobench.cli.evaluating import evaluate as evaluate_zoos
    from zoobench.methods.registry import get_method
    from zoobench.tokens import kept_statuses
    from zoobench.zoo import Zoo, latest_zoo, zoo_path

    import_listed(architectures)
    method = get_method(model)
    config = method.config(preset)
    kept = kept_statuses(listed(statuses) or [])
    paths = [zoo_path(path) for path in listed(zoo) or []] or [latest_zoo(home / "zoos")]
    evaluate_zoos(
        [Zoo(path) for path in paths],
        method,
        config,
        range(seed, seed + seeds),
        home,
        data_root,
        statuses=kept,
    )
