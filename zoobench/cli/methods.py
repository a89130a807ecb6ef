"""`zoobench train`, `embed` and `generate`: fit a method to zoos, and use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zoobench.cli.options import (
    DataRoot,
    Device,
    Home,
    Json,
    Kept,
    MethodName,
    PresetName,
    Quiet,
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

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch import Tensor

TRAIN_EXAMPLES = """
Examples:

  zoobench train --method sane --zoo zoos/mnist+cifar10-cnn_s

  zoobench train --tokens tokens/mine --preset small --set normalization=batch,window=32 --log-dir runs/tensorboard

  zoobench train --preset paper --device cuda --workers 8 --ray-address auto

The same command again goes on with a training that was interrupted.
"""
EMBED_EXAMPLES = """
Examples:

  zoobench embed zoos/mnist-cnn_s

  zoobench embed zoos/mnist-cnn_s,zoos/cifar10-resnet18 --from my-sane --layers

  zoobench embed --population mnist-cnn_s-1x28 --checkpoint 1f2e3d4c5b6a7988:5
"""
GENERATE_EXAMPLES = """
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


def train(
    method: MethodName = "sane",
    preset: PresetName = None,
    settings: Settings = None,
    zoo: Zoos = None,
    tokens: Annotated[
        Path | None, typer.Option(help="A token set, instead of zoos: see 'zoobench tokens build'.")
    ] = None,
    statuses: Statuses = "trained,at_chance",
    out: Annotated[
        Path | None, typer.Option(help="Where the trained method goes.", show_default="models/<zoos>-<method>-<seed>")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that share each batch, one per GPU if asked.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(envvar="RAY_ADDRESS", help="A Ray cluster for the workers.", show_default="local")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    wandb: Annotated[str | None, typer.Option(help="Project in Weights & Biases that losses go to.")] = None,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method on the training models of zoos, and keep it for 'zoobench embed' and 'zoobench generate'."""
    from zoo_generation.data.load import ImageStore
    from zoo_generation.files import directory_written_aside
    from zoo_generation.kept import check
    from zoo_generation.machine import check_writable
    from zoo_generation.names import inside
    from zoobench.cli.console import show, shown_progress, table
    from zoobench.display import figures
    from zoobench.methods.fitting import fit_into
    from zoobench.methods.protocols import Execution
    from zoobench.methods.registry import get_method
    from zoobench.populations import TokenSet, kept_statuses, select_checkpoints

    import_listed(architectures)
    chosen = get_method(method)
    config = chosen.config(preset, assigned(settings))
    if tokens is not None:
        name, token_set = tokens.name, TokenSet.read(tokens)
        check(tokens, "the token set", "restore it, or make it again with 'zoobench tokens build'")
    else:
        zoos = opened_zoos(zoo, home)
        name = "+".join(each.name for each in zoos)
        token_set = TokenSet.load(select_checkpoints(zoos, statuses=kept_statuses(listed(statuses) or [])))
    title = f"{name}-{method}-{seed}"
    place = out or inside(home / "models", title)
    check_writable(home / "results")
    execution = Execution(device=device, workers=workers, ray_address=ray_address, log_dir=log_dir, wandb=wandb)
    images = ImageStore(data_root)
    with shown_progress() as progress:
        on = token_set.bounded()
        fitted = fit_into(place, chosen, config, on, seed, execution=execution, images=images, progress=progress)
    losses = fitted.losses
    shown: list[RenderableType] = []
    if len(losses):
        summary = table(f"{method}, trained on {title}", ["loss"], ["first", "last"])
        for loss in losses.columns.drop("step"):
            known = losses[loss].dropna()
            summary.add_row(loss, *(f"{known.iloc[at]:.4f}" if len(known) else "–" for at in (0, -1)))
        folder = inside(home / "results", f"train-{title}")
        with directory_written_aside(folder) as aside:
            losses.to_parquet(aside / "losses.parquet", index=False)
            figures.save(figures.losses(losses), aside / "losses.png")
        shown = [summary, f"Losses and plot: {folder}"]
    record = {"path": str(place), "method": method, "seed": seed, "digest": fitted.digest}
    show(record | {"losses": losses.to_dict("records")}, *shown, f"Trained {method}: {place}")


def embed(
    zoo: Annotated[
        str | None,
        typer.Argument(
            metavar="ZOO", help="Zoo directories or URLs, comma-separated.", show_default="the one built last"
        ),
    ] = None,
    population: Annotated[str | None, typer.Option(help="One population, by name.", show_default="all")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="ID[:EPOCH]", help="One model or checkpoint.", show_default="all")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="An embedding of each layer.")] = False,
    method: MethodName = "sane",
    kept: Kept = None,
    preset: PresetName = None,
    trained_on: Zoos = None,
    statuses: Statuses = "trained,at_chance",
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the embeddings.", show_default="results/embeddings-<zoos>-<method>")
    ] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Embed the checkpoints of zoos: one Parquet file per population, with one row per checkpoint, or per layer of one.

    Without --from the method is trained on the zoos of --zoo (by default, those that are embedded), or read if it was
    trained so before.
    """
    import numpy as np

    from zoo_generation.data.load import ImageStore
    from zoo_generation.names import inside
    from zoobench.cli.console import show, shown_progress, table
    from zoobench.evaluation import fitted
    from zoobench.methods.embedding import Chosen, embed_zoos
    from zoobench.methods.registry import get_method
    from zoobench.populations import kept_statuses
    from zoobench.zoo.workspace import Workspace

    import_listed(architectures)
    named, wanted = get_method(method), Chosen.of(population, checkpoint)
    zoos, of = opened_zoos(zoo, home), kept_statuses(listed(statuses) or [])
    on = opened_zoos(trained_on, home) if trained_on else zoos
    where, title = Workspace(home, data_root), f"{'+'.join(each.name for each in zoos)}-{method}"
    path = out or inside(home / "results", f"embeddings-{title}")
    with shown_progress() as progress:
        config = named.config(preset)
        model, _ = fitted(named, config, on, seed, folder=kept, statuses=of, workspace=where, progress=progress)
        images = ImageStore(data_root)
        made = embed_zoos(
            model, zoos, path, chosen=wanted, layers=layers, statuses=of, images=images, progress=progress
        )
    columns = ["checkpoints", "numbers" + (" per layer" if layers else ""), "mean norm"]
    shown = table(f"Embeddings by {method}", ["population"], columns)
    records = {}
    for each in made:
        norm = float(np.linalg.norm(each.points, axis=1).mean())
        records[each.name] = {"checkpoints": each.checkpoints, "numbers": each.width, "mean_norm": norm}
        shown.add_row(each.name, str(each.checkpoints), str(each.width), f"{norm:.3f}" if norm < 1e6 else f"{norm:.3g}")
    show({"path": str(path), "populations": records}, shown, f"Parquet, card and plot: {path}")


def generate(
    method: MethodName = "sane",
    kept: Kept = None,
    preset: PresetName = None,
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
            help="Whether the bandwidth is in units of the anchors' deviations.",
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
        Path | None, typer.Option(help="The zoo that they go into.", show_default="generated/<zoos>-<method>")
    ] = None,
    device: Device = "auto",
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate models without any training, for each population of zoos or for what is named, and write them as a zoo.

    Without --from the method is trained on the zoos, or read if it was trained so before.
    """
    from zoo_generation.errors import InputError
    from zoo_generation.names import file_name, inside
    from zoo_generation.networks.program import device_of
    from zoobench.cli.console import show, shown_progress, table
    from zoobench.evaluation import fitted
    from zoobench.methods.generation import TargetChoice, generate_models, summary_of, write_results
    from zoobench.methods.registry import get_method
    from zoobench.methods.sampling import Draw
    from zoobench.populations import kept_statuses
    from zoobench.zoo.workspace import Workspace

    import_listed(architectures)
    named = get_method(method)
    if mode == "plain" and keep is not None:
        raise InputError("with --mode plain all that are drawn are kept; leave --keep out, or take --mode subsampled")
    if mode != "bootstrapped" and rounds is not None:
        raise InputError(f"--rounds was given with --mode {mode}, and there are rounds of --mode bootstrapped only")
    if keep is not None and keep > count:
        raise InputError(f"{keep} models cannot be kept of {count} that are drawn; lower --keep, or raise --count")
    how = Draw(
        drawn=count,
        kept=count if mode == "plain" else min(keep or 10, count),
        selection_images=selection_images,
        rounds=(rounds or 3) if mode == "bootstrapped" else 1,
        passes=passes,
    )
    sampling = {"density": density, "bandwidth": bandwidth, "relative": relative, "gaussian": gaussian}
    zoos, of = opened_zoos(zoo, home), kept_statuses(listed(statuses) or [])
    where, names = (
        Workspace(home, data_root, "cuda" if device_of(device) == "cuda" else "cpu"),
        [each.name for each in zoos],
    )
    title = file_name(f"{'+'.join(names)}-{method}")
    path = (out or inside(home / "generated", title)).absolute()
    with shown_progress() as progress:
        config = named.config(preset)
        model, populations = fitted(
            named, config, zoos, seed, folder=kept, statuses=of, workspace=where, progress=progress
        )
        made = generate_models(
            model,
            populations,
            path,
            title,
            zoos=names,
            target=TargetChoice(dataset, architecture, width, activation),
            anchors=anchors,
            how=how,
            sampling={name: value for name, value in sampling.items() if value is not None},
            seed=seed,
            workspace=where,
            progress=progress,
        )
    results = inside(home / "results", f"generated-{title}")
    write_results(made, how, results)
    shown = table(
        f"Generated by {method}: accuracy without any training",
        ["target"],
        ["drawn,\nvalidation", "kept,\ntest", "best\nkept", "anchors", "random\ninit"],
    )
    for each in made:
        drawn, target = each.drawn, each.job.target.name
        best, trained = f"{float(drawn.test_accuracy.max()):.3f}", each.anchors
        cells = [_spread(drawn.drawn_accuracy), _spread(drawn.test_accuracy), best]
        shown.add_row(target, *cells, "–" if trained is None else _spread(trained), _spread(each.random))
    total = sum(len(each.drawn.weights) for each in made)
    told = f"{total} models into the zoo {path} (zoobench zoo inspect {path})"
    record = {"zoo": str(path), "results": str(results), "targets": [summary_of(each) for each in made]}
    show(record, shown, told, f"Draws, summary and plot: {results}")


def _spread(values: Tensor) -> str:
    return f"{float(values.mean()):.3f} ± {float(values.std(correction=0)):.3f}"
