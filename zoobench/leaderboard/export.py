"""What a method may read of a track, as files for any framework, and what it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.files import directory_written_aside
from zoo_generation.text import visible
from zoobench.display.environment import environment
from zoobench.leaderboard.classes import classes_of
from zoobench.leaderboard.judging import asked
from zoobench.leaderboard.track import Track
from zoobench.populations import Population, write_token_set
from zoobench.populations.selection import Selection
from zoobench.tasks.base import Task
from zoobench.tasks.probe import NUMBERS
from zoobench.tasks.reconstruction import Reconstruction
from zoobench.zoo.schema import entries_of


def export_data(
    folder: Path,
    track: Track,
    zoos: Mapping[str, Population],
    references: Mapping[str, Population],
    token_size: int,
    data_root: Path | None,
) -> None:
    """Write a folder, whole or not at all; zoos: all checkpoints of the track's zoos, by name; references: as judged.

    Of test models only weights are in it, under names that are theirs and in the order of these, which tells nothing;
    of images none that test.
    """
    task = track.get_task()
    training = [zoos[name].without("test") for name in track.training]
    with directory_written_aside(folder, new=True) as aside:
        write_token_set(aside / "training", Selection.of(training, token_size))
        if track.holds == "predictions":
            _write_asked(aside, track, references)
        elif isinstance(task, Reconstruction):
            for name, reference in references.items():
                _write_weights(aside / "test" / f"{name}.safetensors", task.chosen(reference))
        else:
            anchors = [task.judged(each) for each in references.values()]
            write_token_set(aside / "anchors", Selection.of(anchors, token_size))
            for name, reference in references.items():
                _write_images(aside / "images" / f"{name}.safetensors", reference.table.iloc[0], data_root)
        (aside / "README.md").write_text(_readme(track, task, references, training), encoding="utf-8")


def _write_asked(folder: Path, track: Track, references: Mapping[str, Population]) -> None:
    """`asked.parquet`, a row each that is to be predicted, and the weights of the checkpoints that it is about."""
    tables = [asked(track, each).assign(target=name) for name, each in references.items()]
    columns = ["target", "checkpoint", "property", "kind"]
    rows = pd.concat(tables)[columns].drop_duplicates(ignore_index=True)
    rows.to_parquet(folder / "asked.parquet", index=False)
    for name, reference in references.items():
        _write_weights(folder / "test" / f"{name}.safetensors", reference.split("test"))


def _write_weights(path: Path, population: Population) -> None:
    """Weights [checkpoints, D] in the order of names, with these and the layout of D as metadata."""
    path.parent.mkdir(exist_ok=True)
    first, _ = population.order
    names = population.names[first].tolist()
    metadata = {"layout": json.dumps(entries_of(population.layout)), "checkpoints": json.dumps(names)}
    save_file({"weights": population.blind().weights.contiguous()}, path, metadata)


def _write_images(path: Path, row: pd.Series, data_root: Path | None) -> None:
    """Training and validation images [images, channels, size, size], normalised as models see them, and labels."""
    path.parent.mkdir(exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for split in ("train", "val"):
        images = images_of(row, split, data_root)
        tensors |= {f"{split}_images": images.images.contiguous(), f"{split}_labels": images.labels}
    save_file(tensors, path)


def _readme(track: Track, task: Task, references: Mapping[str, Population], training: list[Population]) -> str:
    tensors = {
        f"{name}/{seed}": (_many(task.handed_in(reference)), reference.layout.size)
        for name, reference in references.items()
        for seed in track.all_seeds
    }
    originals = isinstance(task, Reconstruction)
    template = environment("zoobench.leaderboard", visible).get_template("data.md.j2")
    return template.render(track=track, tensors=tensors, originals=originals, classes=_classes(track, training))


def _classes(track: Track, training: list[Population]) -> dict[str, list[str]]:
    """How the values of the properties that are classes are spelled."""
    tables = pd.concat([population.table for population in training])
    return {name: classes_of(tables[name]) for name in track.properties if name not in NUMBERS}


def _many(models: range) -> str:
    return f"{models.start} to {models.stop - 1} models" if len(models) > 1 else f"{models.start} models"
