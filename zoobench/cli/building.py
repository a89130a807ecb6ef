"""Build a zoo with a progress bar, and show what came of it."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from zoo_generation.errors import InputError
from zoo_generation.jobs import load_datasets, train_zoo
from zoo_generation.progress import Progress as BuildProgress
from zoo_generation.spec import ZooSpec
from zoobench.cli.console import console, table
from zoobench.zoo import POPULATION, Zoo, ZooSink


def build(
    spec: ZooSpec,
    path: Path,
    *,
    data_root: Path | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
) -> Zoo:
    """Train what the zoo at `path` lacks of the spec, print its summary, and return it."""
    models = spec.models()
    sink = ZooSink(path.absolute())
    fields = spec.model_dump(mode="json")
    if (path / "zoo.json").exists() and Zoo(path).card.get("spec") != fields:
        raise InputError(f"{path} holds a zoo of another spec; choose another --out or --name, or delete it")
    done = sink.done()
    missing = [model for model in models if model.id not in done]
    present = len(models) - len(missing)
    with console.status("Loading images"):
        images = load_datasets(missing, data_root)
    console.print(f"Zoo [bold]{spec.title}[/bold]: {len(models)} models, {present} already there, into {path}")
    sink.write_card(spec.title, fields)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=len(models), completed=present, state="starting Ray")

        def show(progress: BuildProgress) -> None:
            done = present + progress.done + progress.epochs / spec.epochs
            bar.update(task, completed=round(done, 1), state=_state(progress))

        train_zoo(missing, sink, images, workers=workers, ray_address=ray_address, on_progress=show)
        bar.update(task, completed=len(models))
    zoo = Zoo(path)
    console.print(summary_table(zoo))
    return zoo


def _state(progress: BuildProgress) -> str:
    parts = [f"epoch {max(epoch for epoch, _ in progress.training.values())}"] if progress.training else []
    if not math.isnan(progress.mean_accuracy):
        parts.append(f"validation accuracy {progress.mean_accuracy:.1%}")
    if progress.diverged:
        parts.append(f"{progress.diverged} diverged")
    return ", ".join(parts)


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
        diverged = int((models["status"] == "diverged").sum())
        result.add_row(
            row["dataset"],
            architecture,
            f"{len(models)} ({diverged} diverged)" if diverged else str(len(models)),
            str(len(checkpoints)),
            _percent(last),
            f"{(last > 0.9).mean():.0%}",
        )
    return result


def _percent(values: pd.Series) -> str:
    return f"{values.mean():.1%} ± {values.std():.1%}"
