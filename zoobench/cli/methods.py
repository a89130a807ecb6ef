"""`zoobench train`, `embed` and `generate`: fit a method to zoos, and use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import zoobench as zb
from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside
from zoo_generation.machine import check_writable
from zoo_generation.names import file_name, inside
from zoobench.cli.console import show, shown_progress, table
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
    examples,
    import_listed,
    listed,
    opened,
    option,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

TRAIN_EXAMPLES = examples(
    "train --method sane --zoo zoos/mnist+cifar10-cnn_s",
    "train --tokens tokens/mine --preset small --set normalization=batch,window=32 --log-dir runs/tensorboard",
    "train --preset paper --device cuda --workers 8 --ray-address auto",
)
TRAIN_EXAMPLES += "\n\nThe same command again goes on with a training that was interrupted."
EMBED_EXAMPLES = examples(
    "embed zoos/mnist-cnn_s",
    "embed zoos/mnist-cnn_s,zoos/cifar10-resnet18 --from my-sane --layers",
    "embed --population mnist-cnn_s-1x28 --checkpoint 1f2e3d4c5b6a7988:5",
)
GENERATE_EXAMPLES = examples(
    "generate",
    "generate --zoo zoos/mnist-cnn_s --mode bootstrapped --rounds 3 --density joint --bandwidth 0.1 --relative",
    "generate --from my-sane --zoo zoos/mnist-cnn_s --dataset fashion_mnist",
    "generate --anchors 0 --gaussian fitted --architecture resnet18 --width 0.125",
)
GENERATE_EXAMPLES += """\n\nModes for --mode:

  plain: all that are drawn are kept

  subsampled: the best by validation accuracy are kept

  bootstrapped: as before, in rounds, each with the kept ones as anchors
"""

SHOWN = ("drawn", "kept", "anchors", "random_init")


def train(
    method: MethodName = "sane",
    preset: PresetName = None,
    settings: Settings = None,
    zoo: Zoos = None,
    tokens: Annotated[Path | None, option("A token set, instead of zoos: see 'zoobench tokens build'.")] = None,
    statuses: Statuses = "trained,at_chance",
    out: Annotated[Path | None, option("Where the trained method goes.", "models/<zoos>-<method>-<seed>")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Annotated[int, option("Processes that share each batch of SANE, one per GPU if asked.", min=1)] = 1,
    ray_address: Annotated[str | None, option("A Ray cluster for the workers.", "local", envvar="RAY_ADDRESS")] = None,
    log_dir: Annotated[Path | None, option("Folder for TensorBoard.")] = None,
    wandb: Annotated[str | None, option("Project in Weights & Biases that losses go to.")] = None,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method on the training models of zoos, and keep it for 'zoobench embed' and 'zoobench generate'."""
    from zoobench.display import figures

    import_listed(architectures)
    chosen = zb.get_method(method)
    chosen.config(preset, assigned(settings))  # before the zoos are read
    if tokens:
        zb.TokenSet.read(tokens)  # says what is wrong with a folder that is not a token set
    on, name = (tokens, tokens.name) if tokens else opened(zoo, home)
    title = f"{name}-{method}-{seed}"
    place = out or inside(home / "models", title)
    check_writable(home / "results")
    with shown_progress() as progress:
        fitted = zb.fit(
            chosen,
            on,
            preset=preset,
            seed=seed,
            out=place,
            statuses=listed(statuses) or [],
            execution=zb.Execution(device, workers, ray_address, log_dir=log_dir, wandb=wandb),
            workspace=zb.Workspace(home, data_root, device),
            progress=progress,
            **assigned(settings),
        )
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
    record: dict[str, Any] = {"path": str(place), "method": method, "seed": seed, "digest": fitted.digest}
    if (course := fitted.course) is not None:
        record |= {"steps": course.steps, "epochs": course.epochs, "core_seconds": course.core_seconds}
        shown.append(course.words)
    show(record | {"losses": losses.to_dict("records")}, *shown, f"Trained {method}: {place}")


def embed(
    zoo: Annotated[
        str | None,
        typer.Argument(
            metavar="ZOO", help="Zoo directories or URLs, comma-separated.", show_default="the one built last"
        ),
    ] = None,
    population: Annotated[str | None, option("One population, by name.", "all")] = None,
    checkpoint: Annotated[str | None, option("One model or checkpoint.", "all", metavar="ID[:EPOCH]")] = None,
    layers: Annotated[bool, option("An embedding of each layer.", True, "--layers")] = False,
    method: MethodName = "sane",
    fitted_in: Kept = None,
    preset: PresetName = None,
    trained_on: Zoos = None,
    statuses: Statuses = "trained,at_chance",
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    out: Annotated[Path | None, option("Folder of the embeddings.", "results/embeddings-<zoos>-<method>")] = None,
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Embed the checkpoints of zoos: one Parquet file per population, with one row per checkpoint, or per layer of one.

    Without --from the method is trained on the zoos of --zoo (by default, those that are embedded), or read if it was
    trained so before.
    """
    import_listed(architectures)
    (zoos, name), of = opened(zoo, home), listed(statuses) or []
    on, title = opened(trained_on, home)[0] if trained_on else zoos, f"{name}-{method}"
    path, where = out or inside(home / "results", f"embeddings-{title}"), zb.Workspace(home, data_root)
    with shown_progress() as progress:
        how: dict[str, Any] = {"statuses": of, "workspace": where, "progress": progress}
        fitted = zb.load_method(fitted_in, method) if fitted_in else zb.fit(method, on, preset=preset, seed=seed, **how)
        made = zb.save_embeddings(
            fitted, zoos, path, layers=layers, population=population, checkpoint=checkpoint, **how
        )
    columns = ["checkpoints", "numbers" + (" per layer" if layers else ""), "mean norm"]
    shown, records = table(f"Embeddings by {method}", ["population"], columns), {}
    for each in made:
        records[each.name] = {"checkpoints": each.checkpoints, "numbers": each.width, "mean_norm": each.mean_norm}
        norm = f"{each.mean_norm:.3f}" if each.mean_norm < 1e6 else f"{each.mean_norm:.3g}"
        shown.add_row(each.name, str(each.checkpoints), str(each.width), norm)
    show({"path": str(path), "populations": records}, shown, f"Parquet, card and plot: {path}")


def generate(
    method: MethodName = "sane",
    fitted_in: Kept = None,
    preset: PresetName = None,
    zoo: Zoos = None,
    statuses: Statuses = "trained,at_chance",
    mode: Annotated[Literal["plain", "subsampled", "bootstrapped"], option("See below.")] = "subsampled",
    anchors: Annotated[int, option("Trained models to draw around; 0: latents of a Gaussian.", min=0)] = 5,
    drawn: Annotated[int, option("Models to draw in a round.", min=1, max=1_000_000)] = 200,
    kept: Annotated[int | None, option("Models to keep, unless plain.", "10", min=1, max=1_000_000)] = None,
    rounds: Annotated[int | None, option("Rounds of bootstrapping.", "3", min=1, max=1000)] = None,
    density: Annotated[
        Literal["token", "individual", "joint"] | None,
        option("An anchor for each token, latent dimension or model.", "as configured"),
    ] = None,
    bandwidth: Annotated[float | None, option("Deviation of the noise on latents.", "as configured", min=0)] = None,
    relative: Annotated[
        bool | None, option("Bandwidth in units of the anchors' deviations.", "as configured", "--relative/--absolute")
    ] = None,
    gaussian: Annotated[
        Literal["standard", "fitted"] | None,
        option("Without anchors: N(0, 1), or fitted to training models' latents.", "standard"),
    ] = None,
    dataset: Annotated[str | None, option("Dataset of the models.", "the zoo's")] = None,
    architecture: Annotated[str | None, option("Their architecture.", "the zoo's")] = None,
    width: Annotated[float | None, option("Their width.", "the zoo's")] = None,
    activation: Annotated[str | None, option("Their activation.", "the anchors'")] = None,
    passes: Annotated[int, option("Batches of training images that set BatchNorm's statistics.", min=1)] = 3,
    selection_images: Annotated[int, option("Validation images to choose by, at most.", min=1)] = 500,
    seed: Seed = 0,
    architectures: UserArchitectures = None,
    data_root: DataRoot = None,
    out: Annotated[Path | None, option("The zoo that they go into.", "generated/<zoos>-<method>")] = None,
    device: Device = "auto",
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate models without any training, for each population of zoos or for what is named, and write them as a zoo.

    Without --from the method is trained on the zoos, or read if it was trained so before.
    """
    import_listed(architectures)
    if mode == "plain" and kept is not None:
        raise InputError("with --mode plain all that are drawn are kept; leave --kept out, or take --mode subsampled")
    if mode != "bootstrapped" and rounds is not None:
        raise InputError(f"--rounds was given with --mode {mode}, and there are rounds of --mode bootstrapped only")
    if kept is not None and kept > drawn:
        raise InputError(f"{kept} models cannot be kept of {drawn} that are drawn; lower --kept, or raise --drawn")
    sampling: dict[str, Any] = {"density": density, "bandwidth": bandwidth, "relative": relative, "gaussian": gaussian}
    (zoos, name), of = opened(zoo, home), listed(statuses) or []
    title, where = file_name(f"{name}-{method}"), zb.Workspace(home, data_root, device)
    with shown_progress() as progress:
        how: dict[str, Any] = {"seed": seed, "statuses": of, "workspace": where, "progress": progress}
        fitted = zb.load_method(fitted_in, method) if fitted_in else zb.fit(method, zoos, preset=preset, **how)
        made = zb.generate(
            fitted,
            zoos,
            target=zb.TargetChoice(dataset, architecture, width, activation),
            anchors=anchors,
            drawn=drawn,
            kept=drawn if mode == "plain" else min(kept or 10, drawn),
            rounds=(rounds or 3) if mode == "bootstrapped" else 1,
            selection_images=selection_images,
            passes=passes,
            out=out,
            **how,
            **{name: value for name, value in sampling.items() if value is not None},
        )
    results = inside(home / "results", f"generated-{title}")
    made.save(results)
    columns = ["drawn,\nvalidation", "kept,\ntest", "best\nkept", "anchors", "random\ninit"]
    shown = table(f"Generated by {method}: accuracy without any training", ["target"], columns)
    for each in made.summary():
        of_target = {
            what: f"{each[f'{what}_mean']:.3f} ± {each[f'{what}_std']:.3f}" for what in SHOWN if f"{what}_mean" in each
        }
        best = f"{each['kept_best']:.3f}"
        cells = (of_target["drawn"], of_target["kept"], best, of_target.get("anchors", "–"), of_target["random_init"])
        shown.add_row(each["target"], *cells)
    told = f"{len(made.accuracies)} models into the zoo {made.path} (zoobench zoo inspect {made.path})"
    record = {"zoo": str(made.path), "results": str(results), "targets": made.summary()}
    show(record, shown, told, f"Draws, summary and plot: {results}")
