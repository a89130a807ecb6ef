"""Build a zoo with a progress bar, and show what came of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from zoo_generation.data.load import Datasets
from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.training.cluster import Resources
from zoo_generation.training.jobs import dataset_key, load_datasets, train_zoo
from zoo_generation.training.memory import check_memory
from zoo_generation.training.spec import ModelSpec, ZooSpec
from zoo_generation.training.train import stack_key
from zoo_generation.training.trial import why_alone
from zoobench.cli.console import Table, console, shown_progress, table
from zoobench.zoo import POPULATION, Zoo, ZooSink


def build(
    spec: ZooSpec,
    path: StoragePath,
    *,
    data_root: Path | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    resources: Resources | None = None,
    stack_size: int | None = None,
) -> Zoo:
    """Train what the zoo at `path` lacks of the spec, print its summary, and return it.

    Raises `InputError` where another build holds the zoo, or its spec is another.
    """
    models = spec.models()
    sink = ZooSink(path.absolute())
    fields = spec.model_dump(mode="json")
    if (path / "zoo.json").exists() and Zoo(path).card.get("spec") != fields:
        raise InputError(f"{path} holds a zoo of another spec; choose another --out or --name, or delete it")
    done = sink.done()
    missing = [model for model in models if model.id not in done]
    with console.status("Loading images"):
        images = load_datasets(missing, data_root)
    for model in {(model.architecture, model.width): model for model in missing}.values():
        if get_architecture(model.architecture).has_width:
            check_memory(model, images[dataset_key(model)])
    with sink.lock():
        if damaged := sink.repair():
            console.print(f"{damaged} damaged parts of {path} are trained again")
        sink.write_card(spec.title, fields)
        present = len(models) - len(missing)
        console.print(f"Zoo {spec.title}: {len(models)} models, {present} already there, into {path}")
        _tell_unstackable(missing, images)
        with shown_progress() as progress:
            train_zoo(
                missing,
                sink,
                images,
                workers=workers,
                ray_address=ray_address,
                resources=resources,
                stack_size=stack_size,
                already=present,
                progress=progress,
            )
    console.print(f"training {len(models)}/{len(models)}")
    zoo = Zoo(path)
    console.print(summary_table(zoo))
    return zoo


def _tell_unstackable(models: list[ModelSpec], images: Datasets) -> None:
    """Say which architectures are trained one model at a time, and why; raises `InputError` where one cannot be."""
    alone: dict[str, str] = {}
    for model in {(stack_key(model), dataset_key(model)): model for model in models}.values():
        if reason := why_alone(model, images[dataset_key(model)]):
            alone.setdefault(model.architecture, reason)
    for name, reason in alone.items():
        console.print(f"{name} is trained one model at a time: {reason}", soft_wrap=True)


def summary_table(zoo: Zoo) -> Table:
    """One row a population: models, checkpoints, test accuracy of the last checkpoints."""
    result = table(
        f"Zoo {zoo.name}", ["dataset", "architecture"], ["models", "checkpoints", "test accuracy", "over 90 %"]
    )
    for _, models in zoo.models.groupby(POPULATION, sort=True):
        row = models.iloc[0]
        checkpoints = zoo.checkpoints[zoo.checkpoints["model_id"].isin(models["model_id"])]
        last = checkpoints.groupby("model_id")["test_accuracy"].last()
        architecture = row["architecture"] if row["width"] == 1 else f"{row['architecture']} ×{row['width']:g}"
        failed = [
            f"{count} {str(status).replace('_', ' ')}"
            for status, count in models["status"].value_counts().items()
            if status != "trained"
        ]
        result.add_row(
            row["dataset"],
            architecture,
            f"{len(models)} ({', '.join(failed)})" if failed else str(len(models)),
            str(len(checkpoints)),
            _percent(last),
            f"{(last > 0.9).mean():.0%}",
        )
    return result


def _percent(values: pd.Series) -> str:
    return f"{values.mean():.1%} ± {values.std():.1%}"
