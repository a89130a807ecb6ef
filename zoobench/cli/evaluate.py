"""`zoobench eval`: measure a method on zoos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoobench.cli.options import (
    DataRoot,
    Home,
    RayAddress,
    Seed,
    Settings,
    Statuses,
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
    statuses: Statuses = "trained,at_chance",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to train and sample with; results are mean ± std.")] = 3,
    seed: Seed = 0,
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
    from zoobench.tokens import kept_statuses

    import_listed(architectures)
    method = get_method(model)
    config = method.config(preset, assigned(settings))
    if track is not None:
        from zoobench.cli.studying import Place

        raise typer.Exit(_on_tracks(track, model, preset, settings, zoo, Place(home, data_root, workers, ray_address)))
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


def _on_tracks(names: str, model: str, preset: str | None, settings: str | None, zoo: str | None, place: Place) -> int:
    """Measure a method on tracks; returns the exit code."""
    from zoo_generation.errors import InputError
    from zoobench.ablation.study import MethodChoice
    from zoobench.cli.options import chosen_tracks
    from zoobench.cli.tracking import run_tracks

    if zoo is not None:
        raise InputError(f"--zoo {zoo} was given with --track {names}, which says itself what its zoos are; give one")
    choice = MethodChoice(preset=preset, set=assigned(settings))
    tracks = chosen_tracks(names, place.home / "leaderboards")
    return 0 if run_tracks(tracks, model, choice, place) else 1
