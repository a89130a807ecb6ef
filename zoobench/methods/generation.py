"""Generate models for populations of zoos, or for a target that no zoo has, and write them as a zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import Tensor

from zoo_generation.data import Split, load_dataset
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError, unknown
from zoo_generation.files import StoragePath, directory_written_aside, write_json
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm, evaluate
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.program import device_of
from zoo_generation.networks.registry import ACTIVATIONS
from zoo_generation.progress import QUIET, Progress, Step
from zoo_generation.settings import changed
from zoo_generation.training.sink import Metrics
from zoobench.methods.fitting import Fitted
from zoobench.methods.granting import granted
from zoobench.methods.protocols import Generator, Samplable, moved
from zoobench.methods.sampling import Draw, Drawn, choose_anchors, generate
from zoobench.populations import Population
from zoobench.populations.target import Target, corresponding
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.generated import generated_part
from zoobench.zoo.sink import Part
from zoobench.zoo.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAW, HOME = Draw(), Workspace()
RANDOM_MODELS = 10  # random initializations whose accuracy is compared with that of generated models


@dataclass(frozen=True)
class TargetChoice:
    """What the user chose about the target; None means the zoo's value."""

    dataset: str | None = None
    architecture: str | None = None
    width: float | None = None
    activation: str | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A target and its anchors: a population without checkpoints if latents are to come from a Gaussian."""

    target: Target
    anchors: Population


def _jobs_of(
    populations: Sequence[Population], wanted: TargetChoice, anchors: int, data_root: Path | None
) -> list[Job]:
    """One job per population that matches; if none does, one for a target without models.

    The anchors of such a target come from a population of the same architecture and width, for example on another
    dataset: preferably one with the same number of channels and classes. Raises `InputError` if a name is unknown, or
    if a value that was not named differs between populations.
    """
    if wanted.activation is not None and wanted.activation not in ACTIVATIONS:
        raise unknown("activation", wanted.activation, ACTIVATIONS)
    if found := [population for population in populations if _is(population, wanted)]:
        return [_task(population, wanted, anchors) for population in found]
    target = _new_target(populations, wanted, data_root)
    fitting = [population for population in populations if corresponding(population.tokenizer, target) is not None]
    if not fitting or not anchors:
        return [Job(target, populations[0].select(np.zeros(len(populations[0]), dtype=bool)))]
    shape = ["channels", "classes"]
    best = max(fitting, key=lambda population: int((population.table.iloc[0][shape] == target.row[shape]).all()))
    chosen = choose_anchors(best, anchors)
    activation = wanted.activation or chosen.table["activation"].iloc[0]
    seen = {name: chosen.row.get(name) for name in ("train_images", "data_part")}
    return [Job(_with(target, activation=activation, **seen), chosen)]


def _is(population: Population, wanted: TargetChoice) -> bool:
    row = population.table.iloc[0]
    asked = {"dataset": wanted.dataset, "architecture": wanted.architecture, "width": wanted.width}
    return all(value is None or row[name] == value for name, value in asked.items())


def _task(population: Population, wanted: TargetChoice, anchors: int) -> Job:
    best = choose_anchors(population, max(1, anchors))
    chosen = best if anchors else best.select(np.zeros(len(best), dtype=bool))
    target = Target.of(best)
    return Job(target if wanted.activation is None else _with(target, activation=wanted.activation), chosen)


def _with(target: Target, **columns: object) -> Target:
    row = target.row.copy()
    for name, value in columns.items():
        row[name] = value
    return replace(target, row=row)


def _new_target(populations: Sequence[Population], wanted: TargetChoice, data_root: Path | None) -> Target:
    """A target without models in the zoo. Values that were not named must be the same in all its populations."""
    rows = [population.table.iloc[0] for population in populations]

    def known(name: str, given: str | float | None) -> str | float:
        values = list(dict.fromkeys(row[name] for row in rows))
        if given is None and len(values) > 1:
            raise InputError(f"no population of the zoo matches, and its {name}s differ; name one with --{name}")
        return values[0] if given is None else given

    architecture = get_architecture(str(known("architecture", wanted.architecture)))
    same = [row for row in rows if row["architecture"] == architecture.name] or rows
    if wanted.width is not None and wanted.width != 1 and not architecture.has_width:
        raise InputError(f"{architecture.name} has one width only, and --width {wanted.width:g} was asked for")
    width = 1.0 if not architecture.has_width else float(known("width", wanted.width))
    dataset = load_dataset(str(known("dataset", wanted.dataset)), data_root=data_root)
    size = architecture.image_size if architecture.fixed_image_size or same is rows else int(same[0]["image_size"])
    activation = wanted.activation or str(same[0]["activation"])
    token_size = populations[0].tokenizer.token_size
    return Target.new(dataset.fit(dataset.channels, size), architecture.name, width, activation, token_size)


@dataclass(frozen=True, eq=False)
class Made:
    """Models generated for one target.

    drawn: the kept models and how all draws did; tested: test accuracies of the kept models [kept]; anchors: those of
    the anchors [anchors], None if they are not models of the target's layout; random: of random initializations.
    """

    job: Job
    drawn: Drawn
    tested: Tensor
    anchors: Tensor | None
    random: Tensor


@dataclass(frozen=True, eq=False)
class Generated:
    """The result of generating: a zoo of the kept models at `path`, and the models of each target.

    how: how models were drawn and selected.
    """

    path: StoragePath
    how: Draw
    made: tuple[Made, ...]

    @property
    def zoo(self) -> Zoo:
        """The kept models as a zoo."""
        return Zoo(self.path)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The kept models [kept, D], best first, by the target's name."""
        return {each.job.target.name: each.drawn.weights for each in self.made}

    @property
    def accuracies(self) -> pd.DataFrame:
        """One row per kept model, best first. Columns: target, val_accuracy (the selection criterion),
        test_accuracy."""
        tables = [
            pd.DataFrame({"target": each.job.target.name, "val_accuracy": each.drawn.val_accuracy.tolist()}).assign(
                test_accuracy=each.tested.tolist()
            )
            for each in self.made
        ]
        return pd.concat(tables, ignore_index=True)

    def __repr__(self) -> str:
        models = "; ".join(f"{len(each.drawn.draws)} models of {each.job.target.name}" for each in self.made)
        return f"<Generated {models}: {self.path}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: one row per target."""
        return pd.DataFrame(self.summary()).to_html(index=False, escape=True)

    def summary(self) -> list[dict[str, Any]]:
        """One record per target: mean accuracies of draws, kept models, anchors and random initializations."""
        return [_summary_of(each) for each in self.made]

    def figure(self) -> Figure:
        """Histograms of the accuracies of draws and kept models, one panel per target."""
        from zoobench.display import figures

        panels, lines = {}, {}
        for each in self.made:
            rounds, name = each.drawn.drawn_accuracy.split(self.how.drawn), each.job.target.name
            several = self.how.rounds > 1
            panels[name] = {
                f"drawn, round {number + 1} (validation)" if several else "drawn (validation)": part.numpy()
                for number, part in enumerate(rounds)
            } | {"kept (test)": each.tested.numpy()}
            lines[name] = {"random init": float(each.random.mean())}
            if each.anchors is not None:
                lines[name]["anchors"] = float(each.anchors.mean())
        return figures.histograms(panels, lines, "accuracy")

    def save(self, folder: str | Path) -> None:
        """Write draws.parquet, summary.json and accuracies.png into a folder, in place of what was saved there."""
        from zoobench.display import figures

        with directory_written_aside(Path(folder)) as aside:
            draws = pd.concat([_draws_of(each, self.how) for each in self.made], ignore_index=True)
            draws.to_parquet(aside / "draws.parquet", index=False)
            figures.save(self.figure(), aside / "accuracies.png")
            write_json(aside / "summary.json", self.summary())


def generate_models(
    fitted: Fitted,
    populations: Sequence[Population],
    out: StoragePath,
    title: str,
    *,
    zoos: Sequence[str],
    target: TargetChoice = TargetChoice(),
    anchors: int = 5,
    how: Draw = DRAW,
    sampling: Mapping[str, Any] = {},
    seed: int = 0,
    workspace: Workspace = HOME,
    progress: Progress = QUIET,
) -> Generated:
    """Generate models for each matching population, or for a target without models, into the zoo `out`.

    populations: of the zoos of these names, in the fitted method's tokens; anchors: number of trained models to draw
    around, 0 for none; sampling: changes to the method's `sampling`. Raises `InputError` if the method cannot generate
    in this way, or if `out` is anything but a zoo of generated models.
    """
    sink = ZooSink(out.absolute())
    _check(sink)
    images = ImageStore(workspace.data_root)
    shown = [granted(fitted.method, each, fitted.method.access, images) for each in populations]
    moved(fitted.model, device_of(workspace.device))
    jobs = _jobs_of(shown, target, anchors, workspace.data_root)
    planned = [(job, *_generator(fitted, job, shown, how, sampling)) for job in jobs]
    made = []
    for job, generator, recorded in planned:
        step = progress.stage(f"generating {job.target.name}")
        source = _source(fitted, job, how, seed) | dict(recorded)
        outcome, part = _run(generator, job, how, seed, source, workspace, step)
        made.append(outcome)
        try:
            with sink.lock():
                sink.write_card(title, {}, generated={"method": fitted.method.name, "zoos": list(zoos)})
                sink.write_part(part)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"cannot write {sink.path} ({reason}); choose another --out") from None
    return Generated(sink.path, how, tuple(made))


def _generator(
    fitted: Fitted, job: Job, populations: Sequence[Population], how: Draw, sampling: Mapping[str, Any]
) -> tuple[Generator, Mapping[str, Any]]:
    """The function that draws the models, and the record of its settings."""
    name, model = fitted.method.name, fitted.model
    if isinstance(model, Samplable) and fitted.method.sampling is not None:
        settings = changed(fitted.method.sampling, sampling, "sampling setting")
        recorded = model.recorded(settings, anchors=len(job.anchors) > 0, rounds=how.rounds)
        return model.sampler(job.target, settings, [each.split("train").known() for each in populations]), recorded
    if not isinstance(model, Generator):
        raise InputError(f"{name} does not generate models; take a method that does, such as sane or weight_density")
    if sampling:
        options = ", ".join(f"--{each}" for each in sampling)
        raise InputError(f"{options}: {name} has no such setting; leave it out, or take a method like sane")
    if not len(job.anchors) or job.anchors.layout != job.target.layout:
        raise InputError(
            f"{name} generates only for a population that it has anchors of; take a method with a sampler, such as sane"
        )
    return model, {}


def _check(sink: ZooSink) -> None:
    """Raise `InputError` if anything but a zoo of generated models exists there."""
    if (sink.path / "zoo.json").exists():
        if not Zoo(sink.path).card.get("generated"):
            raise InputError(f"{sink.path} is a zoo of trained models; choose another --out for generated ones")
    elif sink.path.exists() and (not sink.path.is_dir() or any(sink.path.iterdir())):
        raise InputError(f"{sink.path} exists and is not a zoo; choose another --out")


def _source(fitted: Fitted, job: Job, how: Draw, seed: int) -> dict[str, Any]:
    """The origin of all models of a job, as `docs/format.md` specifies it."""
    anchors = [[str(row["model_id"]), int(row["epoch"])] for _, row in job.anchors.table.iterrows()]
    made = {"method": fitted.method.name, "fitted": fitted.digest, "anchors": anchors, "seed": seed}
    return made | {"rounds": how.rounds, "drawn": how.drawn}


def _run(
    generator: Generator, job: Job, how: Draw, seed: int, source: dict[str, Any], where: Workspace, step: Step
) -> tuple[Made, Part]:
    """Generate for one target: the result, and the kept models as a part of a zoo."""
    target, device, images = job.target, device_of(where.device), ImageStore(where.data_root)
    drawn = generate(generator, job.anchors, how, seed, images, target=target, device=device, step=step)
    splits = {split: images.of(target.row, split) for split in ("train", "val", "test")}
    module, layout = target.module(), target.layout
    measured = [evaluate(drawn.weights, layout, module, images, device) for images in splits.values()]
    columns = [column.tolist() for pair in measured for column in pair]
    metrics = [Metrics(*row) for row in zip(*columns, strict=True)]
    sources = [source | {"round": draw // how.drawn, "draw": draw} for draw in drawn.draws.tolist()]
    validation = Split(splits["val"].images, splits["val"].labels)
    row = {str(column): value for column, value in target.row.items()}
    part = generated_part(row, drawn.weights, layout, metrics, sources, validation)

    def tested(weights: Tensor) -> Tensor:
        return accuracies(weights, layout, module, splits["test"], device)

    def conditioned(weights: Tensor) -> Tensor:
        return condition_batch_norm(weights, layout, module, splits["train"], how.passes, device=device)

    usable = len(job.anchors) > 0 and job.anchors.layout == layout
    trained_here = usable and job.anchors.table["dataset"].iloc[0] == target.row["dataset"]
    weights = job.anchors.weights if usable else None
    of_anchors = None if weights is None else tested(weights if trained_here else conditioned(weights))
    of_random = tested(conditioned(target.new_models(RANDOM_MODELS, seed)))
    return Made(job, drawn, measured[-1][1], of_anchors, of_random), part


def _draws_of(made: Made, how: Draw) -> pd.DataFrame:
    """One row per draw."""
    drawn = made.drawn
    draws = pd.DataFrame({"target": made.job.target.name, "val_accuracy": drawn.drawn_accuracy.tolist()})
    draws.insert(1, "draw", range(len(draws)))
    draws.insert(1, "round", draws["draw"] // how.drawn)
    tested = pd.Series(made.tested.tolist(), index=drawn.draws.tolist())
    return draws.assign(kept=draws["draw"].isin(tested.index), test_accuracy=draws["draw"].map(tested))


def _summary_of(made: Made) -> dict[str, Any]:
    """Mean, deviation and best of the accuracies of draws, kept models, anchors and random initializations."""
    drawn = made.drawn
    values = {"drawn": drawn.drawn_accuracy, "kept": made.tested, "random_init": made.random}
    values |= {} if made.anchors is None else {"anchors": made.anchors}
    numbers = {
        f"{name}_{what}": float(number)
        for name, each in values.items()
        for what, number in (("mean", each.mean()), ("std", each.std(correction=0)), ("best", each.max()))
    }
    return {"target": made.job.target.name, "anchors": len(made.job.anchors), **numbers}
