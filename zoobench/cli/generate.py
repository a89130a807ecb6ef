"""`zoobench generate`: new models from a trained method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoobench.cli.options import (
    DataRoot,
    Device,
    Home,
    Kept,
    Seed,
    Statuses,
    UserArchitectures,
    Zoos,
    import_listed,
    listed,
    opened_zoos,
)

EXAMPLES = """
Examples:

  zoobench generate

  zoobench generate --zoo zoos/mnist-cnn_s --mode bootstrapped --rounds 3 --density joint --bandwidth 0.1 --relative

  zoobench generate --from my-sane --zoo zoos/mnist-cnn_s --dataset fashion_mnist

  zoobench generate --anchors 0 --gaussian fitted --architecture resnet18 --width 0.125

Modes for --mode:

  plain: all that are drawn are kept

  subsampled: the best by validation accuracy are kept

  bootstrapped: as before, in rounds, each with the kept ones as anchors
"""


def generate(
    model: Annotated[str, typer.Option(help="The method.")] = "sane",
    kept: Kept = None,
    preset: Annotated[
        str | None, typer.Option(help="Configuration of the method to train, without --from.", show_default="its first")
    ] = None,
    zoo: Zoos = None,
    statuses: Statuses = "trained,at_chance",
    mode: Annotated[Literal["plain", "subsampled", "bootstrapped"], typer.Option(help="See below.")] = "subsampled",
    anchors: Annotated[int, typer.Option(min=0, help="Trained models to draw around; 0: latents of a Gaussian.")] = 5,
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Models to draw in a round.")] = 200,
    keep: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Models to keep, unless plain.", show_default="10")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Rounds of bootstrapping.", show_default="3")
    ] = None,
    density: Annotated[
        Literal["token", "individual", "joint"] | None,
        typer.Option(help="An anchor for each token, latent dimension or model.", show_default="as configured"),
    ] = None,
    bandwidth: Annotated[
        float | None, typer.Option(min=0, help="Deviation of the noise on latents.", show_default="as configured")
    ] = None,
    relative: Annotated[
        bool | None,
        typer.Option(
            "--relative/--absolute",
            help="Whether the bandwidth is one of the anchors' deviations.",
            show_default="as configured",
        ),
    ] = None,
    gaussian: Annotated[
        Literal["standard", "fitted"] | None,
        typer.Option(help="Without anchors: N(0, 1), or fitted to training models' latents.", show_default="standard"),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset of the models.", show_default="the zoo's")] = None,
    architecture: Annotated[str | None, typer.Option(help="Their architecture.", show_default="the zoo's")] = None,
    width: Annotated[float | None, typer.Option(help="Their width.", show_default="the zoo's")] = None,
    activation: Annotated[str | None, typer.Option(help="Their activation.", show_default="the anchors'")] = None,
    passes: Annotated[int, typer.Option(min=1, help="Batches of training images that set BatchNorm's statistics.")] = 3,
    selection_images: Annotated[int, typer.Option(min=1, help="Validation images to choose by, at most.")] = 500,
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option(help="The zoo that they go into.", show_default="generated/<zoos>-<model>")
    ] = None,
    device: Device = "auto",
    home: Home = Path(),
) -> None:
    """Generate models without any training, for each population of zoos or for what is named, and write them as a zoo.

    Without --from the method is trained on the zoos, or read if 'zoobench eval' has trained it.
    """
    from zoo_generation.errors import InputError
    from zoo_generation.networks.program import device_of
    from zoobench.cli.generating import Request, generate_models
    from zoobench.methods.registry import get_method
    from zoobench.populations import kept_statuses
    from zoobench.tasks.generation import Generation
    from zoobench.tasks.targets import Wanted

    import_listed(architectures)
    method = get_method(model)
    if mode == "plain" and keep is not None:
        raise InputError("with --mode plain all that are drawn are kept; leave --keep out, or take --mode subsampled")
    if mode != "bootstrapped" and rounds is not None:
        raise InputError(f"--rounds was given with --mode {mode}, and there are rounds of --mode bootstrapped only")
    if keep is not None and keep > count:
        raise InputError(f"{keep} models cannot be kept of {count} that are drawn; lower --keep, or raise --count")
    protocol = Generation(
        anchors=anchors,
        drawn=count,
        kept=count if mode == "plain" else min(keep or 10, count),
        selection_images=selection_images,
        rounds=(rounds or 3) if mode == "bootstrapped" else 1,
        passes=passes,
    )
    request = Request(protocol, seed, density, bandwidth, relative, gaussian, device_of(device), data_root)
    wanted = Wanted(dataset, architecture, width, activation)
    config = method.config(preset)
    statuses_kept = kept_statuses(listed(statuses) or [])
    generate_models(opened_zoos(zoo, home), method, config, kept, statuses_kept, wanted, request, out, home)
