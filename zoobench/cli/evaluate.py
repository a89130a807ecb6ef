"""`zoobench eval`: measure a method on zoos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoobench.cli.options import (
    LARGEST_SEED,
    MOST_SEEDS,
    DataRoot,
    Home,
    RayAddress,
    Settings,
    TrackOption,
    UserArchitectures,
    Workers,
    Zoos,
    assigned,
    import_listed,
    listed,
    opened_zoos,
)

if TYPE_CHECKING:
    from zoobench.cli.studying import Place

EXAMPLES = """
Examples:

  zoobench eval --model sane

  zoobench eval --model sane --zoo zoos/mnist+cifar10-cnn_s --preset tiny --seeds 5

  zoobench eval --set normalization=batch,steps=2000

  zoobench eval --zoo s3://bucket/zoo --statuses trained

  zoobench eval --model pca --track property-id,reconstruction
"""


def evaluate(
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    preset: Annotated[
        str | None,
        typer.Option(help="One of the method's configurations, such as tiny or paper.", show_default="its first"),
    ] = None,
    settings: Settings = None,
    track: TrackOption = None,
    zoo: Zoos = None,
    statuses: Annotated[
        str | None,
        typer.Option(
            help="Models to take, by status; those that diverged are never taken.", show_default="trained,at_chance"
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SEEDS, help="Seeds to train and sample with; mean ± std.", show_default="3"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="The first of them.", show_default="0")
    ] = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    home: Home = Path(),
) -> None:
    """Train a method on zoos, and measure what it predicts and generates beside the baselines.

    Without --zoo it takes the zoo that was built last. What is expensive is kept under runs/. With --track it is
    measured as a track of the leaderboards says, and what is written can be handed in (zoobench submit).
    """
    from zoobench.cli.evaluating import evaluate as evaluate_zoos
    from zoobench.methods.registry import get_method
    from zoobench.populations import KEPT, kept_statuses

    import_listed(architectures)
    method = get_method(model)
    config = method.config(preset, assigned(settings))
    if track is not None:
        from zoobench.cli.studying import Place

        own = {"--zoo": zoo, "--statuses": statuses, "--seeds": seeds, "--seed": seed}
        refused = [f"{option} {value}" for option, value in own.items() if value is not None]
        place = Place(home, data_root, workers, ray_address)
        raise typer.Exit(_on_tracks(track, model, preset, settings, refused, place))
    kept = KEPT if statuses is None else kept_statuses(listed(statuses) or [])
    first = seed or 0
    evaluate_zoos(
        opened_zoos(zoo, home),
        method,
        config,
        range(first, first + (seeds or 3)),
        home,
        data_root,
        statuses=kept,
    )


def _on_tracks(
    names: str, model: str, preset: str | None, settings: str | None, refused: list[str], place: Place
) -> int:
    """Measure a method on tracks; returns the exit code."""
    from zoo_generation.errors import InputError
    from zoobench.cli.options import chosen_tracks
    from zoobench.cli.tracking import run_tracks
    from zoobench.studies.study import MethodChoice

    if refused:
        raise InputError(
            f"{refused[0]} was given with --track {names}, which decides that itself; leave one of them out"
        )
    choice = MethodChoice(preset=preset, set=assigned(settings))
    tracks = chosen_tracks(listed(names), place.home / "leaderboards")
    return 0 if run_tracks(tracks, model, choice, place) else 1
