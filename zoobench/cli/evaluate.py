"""`zoobench eval`: measure a method on zoos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import (
    DataRoot,
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

  zoobench eval --model sane

  zoobench eval --model sane --zoo zoos/mnist+cifar10-cnn_s --preset tiny --seeds 5

  zoobench eval --set normalization=batch,steps=2000

  zoobench eval --zoo s3://bucket/zoo --statuses trained
"""


def evaluate(
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    preset: Annotated[
        str | None,
        typer.Option(help="One of the method's configurations, such as tiny or paper.", show_default="its first"),
    ] = None,
    settings: Settings = None,
    zoo: Zoos = None,
    statuses: Statuses = "trained,at_chance",
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

    import_listed(architectures)
    method = get_method(model)
    config = method.config(preset, assigned(settings))
    kept = kept_statuses(listed(statuses) or [])
    evaluate_zoos(
        opened_zoos(zoo, home),
        method,
        config,
        range(seed, seed + seeds),
        home,
        data_root,
        statuses=kept,
    )
