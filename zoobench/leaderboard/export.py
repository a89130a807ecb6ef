"""Export what a method may read of a track, and what it is asked for, as files for any framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, write_json
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import visible
from zoobench.display.environment import environment
from zoobench.leaderboard.answers import form_of, setting_of
from zoobench.leaderboard.judging import classes_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.running import zoos_of
from zoobench.leaderboard.track import Track
from zoobench.methods.victims import answers_of
from zoobench.populations import Population, write_token_set
from zoobench.populations.selection import Selection
from zoobench.tasks.base import AboutImages, Anchored, Combining, Comparing, Enlarging, Extracting
from zoobench.tasks.forms import Form, PredictionForm, WeightForm
from zoobench.tasks.probe import is_number, recorded
from zoobench.zoo.schema import entries_of
from zoobench.zoo.workspace import Workspace


def export_track(track: Track, out: Path, workspace: Workspace, progress: Progress = QUIET) -> None:
    """Build the missing zoos of a track, and write what a method may read of it into the new folder `out`."""
    if out.exists():
        raise InputError(f"{out} exists already; choose another --out")
    references = read_references(workspace.leaderboards, track)
    found = zoos_of([track], workspace, progress)
    token_size = next(size for _, size in found.values())
    progress.stage(f"writing {out}")
    export_data(
        out, track, {name: each for name, (each, _) in found.items()}, references, token_size, workspace.data_root
    )


def export_data(
    folder: Path,
    track: Track,
    zoos: Mapping[str, Population],
    references: Mapping[str, Population],
    token_size: int,
    data_root: Path | None,
) -> None:
    """Write a folder, whole or not at all; zoos: all checkpoints of the track's zoos, by name; references: as judged.

    Of test models it holds only weights, in the order of names that are derived from them and so reveal nothing, and
    what a `Combining` task shows of them; of the victims of an `Extracting` task only their answers. It holds no test
    images but those that a task asks about, and labels only if the track's methods may see them.
    """
    images, labelled = ImageStore(data_root), track.access == "labels"
    training = [zoos[name].without("test") for name in track.training]
    forms = {name: form_of(track, references, name) for name in references}
    with directory_written_aside(folder, new=True) as aside:
        write_token_set(aside / "training", Selection.of(training, token_size))
        if track.holds == "predictions":
            _write_asked(aside, forms, references)
        elif track.holds == "scores":
            named = {name: {"rows": each.rows, "columns": each.columns} for name, each in forms.items()}  # type: ignore[union-attr]
            write_json(aside / "asked.json", named)
            task = track.get_task()
            for name in references:
                setting = setting_of(references, name, track.all_seeds[0], images)
                asked = task.asked(setting)[1] if isinstance(task, AboutImages) else None
                _write_images(aside / "images" / f"{name}.safetensors", setting.target.row, images, labelled, asked)
                if isinstance(task, Comparing):
                    _write_compared(aside, name, task.compared(setting))
                elif asked is None:
                    _write_weights(aside / "test" / f"{name}.safetensors", task.reads(references[name]))
        elif _gives_back(forms):
            for name, reference in references.items():
                _write_weights(aside / "test" / f"{name}.safetensors", track.get_task().reads(reference))
        elif isinstance(task := track.get_task(), Combining):
            _write_members(aside, track, task, references)
            if isinstance(task, Enlarging):
                write_json(aside / "large.json", {name: _network(task, each) for name, each in references.items()})
            if layouts := _layouts(forms):
                write_json(aside / "layouts.json", layouts)
            for name, reference in references.items():
                row = task.given(reference).row
                _write_images(aside / "images" / f"{name}.safetensors", row, images, labelled)
        elif isinstance(task, Extracting):
            _write_answers(aside, track, task, references, images)
        else:
            around = task.anchors_of if isinstance(task, Anchored) else task.reads
            anchors = [around(each) for each in references.values()]
            write_token_set(aside / "anchors", Selection.of(anchors, token_size))
            for name, reference in references.items():
                _write_images(aside / "images" / f"{name}.safetensors", reference.row, images, labelled)
        (aside / "README.md").write_text(_readme(track, forms, training), encoding="utf-8")


def _layouts(forms: Mapping[str, Form]) -> dict[str, object]:
    """By target the entries of what is handed in, where that is not of the target's own layout."""
    found = {name: form.layout for name, form in forms.items() if isinstance(form, WeightForm)}
    return {name: entries_of(layout) for name, layout in found.items() if layout is not None}


def _gives_back(forms: Mapping[str, Form]) -> bool:
    """Whether the answers are models that are asked about."""
    return any(isinstance(form, WeightForm) and form.first is not None for form in forms.values())


def _write_asked(folder: Path, forms: Mapping[str, Form], references: Mapping[str, Population]) -> None:
    """Write `asked.parquet`, one row per requested prediction, and the weights of the checkpoints in it."""
    tables = [form.items.assign(target=name) for name, form in forms.items() if isinstance(form, PredictionForm)]
    columns = ["target", "checkpoint", "property", "kind"]
    rows = pd.concat(tables)[columns].drop_duplicates(ignore_index=True)
    rows.to_parquet(folder / "asked.parquet", index=False)
    for name, reference in references.items():  # judging may read more of them than is asked about
        test, asked = reference.split("test"), rows.loc[rows["target"] == name, "checkpoint"]
        _write_weights(folder / "test" / f"{name}.safetensors", test.select(np.isin(test.names, asked)))


def _write_members(folder: Path, track: Track, task: Combining, references: Mapping[str, Population]) -> None:
    """Write the models that others are to be made of, what a method knows of each, and which of them are in which."""
    asked: dict[str, list[list[str]]] = {}
    tables = []
    for name, reference in references.items():
        models = task.given(reference)
        _write_weights(folder / "test" / f"{name}.safetensors", models)
        tables.append(models.table.assign(target=name, checkpoint=models.names))
        settings = {seed: setting_of(references, name, seed, ImageStore()) for seed in track.all_seeds}
        asked |= {f"{name}/{seed}": task.members(setting) for seed, setting in settings.items()}
        bases = {str(seed): task.bases(setting) for seed, setting in settings.items()}
        if given := {seed: each for seed, each in bases.items() if each is not None}:
            (folder / "bases").mkdir(exist_ok=True)
            save_file(given, folder / "bases" / f"{name}.safetensors")
    write_json(folder / "asked.json", asked)
    pd.concat(tables).drop(columns="split").to_parquet(folder / "models.parquet", index=False)


def _write_answers(
    folder: Path, track: Track, task: Extracting, references: Mapping[str, Population], images: ImageStore
) -> None:
    """Write what is to be copied: which copies are asked for, the victims' answers to training images, and bases."""
    asked = []
    for place in ("answers", "bases", "images"):
        (folder / place).mkdir()
    for name, reference in references.items():
        settings = {seed: setting_of(references, name, seed, images) for seed in track.all_seeds}
        table, victims = task.copies(settings[track.all_seeds[0]]), task.victims_of(reference)
        asked.append(table.assign(target=name))
        _write_images(folder / "images" / f"{name}.safetensors", victims.row, images, False)
        shown = images.of(victims.row, "train").images
        save_file(
            {told: answers_of(victims, told, shown).contiguous() for told in table["told"].unique()},
            folder / "answers" / f"{name}.safetensors",
        )
        none = torch.zeros(len(victims), reference.layout.size)
        bases = {
            str(seed): torch.cat([none if each is None else each.weights for each in task.bases_of(setting)])
            for seed, setting in settings.items()
        }
        metadata = {"layout": json.dumps(entries_of(reference.layout))}
        save_file(bases, folder / "bases" / f"{name}.safetensors", metadata)
    pd.concat(asked).to_parquet(folder / "asked.parquet", index=False)


def _network(task: Enlarging, reference: Population) -> dict[str, Any]:
    """The network of the models to hand in, and the layout of their weights."""
    large = task.enlarged(reference)
    kept = {name: large.row[name] for name in ("architecture", "width", "init")}
    return {name: None if pd.isna(each) else each for name, each in kept.items()} | {"layout": entries_of(large.layout)}


def _write_compared(folder: Path, name: str, models: tuple[Population, Population]) -> None:
    """Write the weights [models, D] that stand in rows, and those in columns, with the layout of D as metadata."""
    rows, columns = models
    path = folder / "compared" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    tensors = {"rows": rows.weights.contiguous(), "columns": columns.weights.clone().contiguous()}
    save_file(tensors, path, {"layout": json.dumps(entries_of(rows.layout))})


def _write_weights(path: Path, population: Population) -> None:
    """Weights [checkpoints, D] in the order of names, with these and the layout of D as metadata."""
    path.parent.mkdir(exist_ok=True)
    first, _ = population.order
    names = population.names[first].tolist()
    metadata = {"layout": json.dumps(entries_of(population.layout)), "checkpoints": json.dumps(names)}
    save_file({"weights": population.blind().weights.contiguous()}, path, metadata)


def _write_images(path: Path, row: pd.Series, store: ImageStore, labelled: bool, asked: Images | None = None) -> None:
    """Training and validation images [images, channels, size, size], normalised as models see them, and the test images
    that are asked about, if there are any; their labels."""
    path.parent.mkdir(exist_ok=True)
    tensors: dict[str, Tensor] = {}
    shown = {"train": store.of(row, "train"), "val": store.of(row, "val")} | ({} if asked is None else {"asked": asked})
    for name, images in shown.items():
        tensors[f"{name}_images"] = images.images.contiguous()
        tensors |= {f"{name}_labels": images.labels} if labelled else {}
    save_file(tensors, path)


def _readme(track: Track, forms: Mapping[str, Form], training: list[Population]) -> str:
    tensors = {}
    for name, form in ((f"{name}/{seed}", form) for name, form in forms.items() for seed in track.all_seeds):
        tensors[name] = form.words
        if isinstance(form, WeightForm):
            tensors |= {f"{name}/{each}": f"[as many models, {size}]" for each, size in form.beside.items()}
    template = environment("zoobench.leaderboard", visible).get_template("data.md.j2")
    return template.render(
        track=track,
        tensors=tensors,
        originals=_gives_back(forms),
        combining=isinstance(track.get_task(), Combining),
        enlarging=isinstance(track.get_task(), Enlarging),
        layouts=_layouts(forms),
        extracting=isinstance(track.get_task(), Extracting),
        comparing=isinstance(track.get_task(), Comparing),
        about_images=isinstance(track.get_task(), AboutImages),
        classes=_classes(track, training),
    )


def _classes(track: Track, training: list[Population]) -> dict[str, list[str]]:
    """The spelling of the values of properties that are classes."""
    tables = pd.concat([population.table for population in training])
    return {name: classes_of(tables[recorded(name)]) for name in track.properties if not is_number(recorded(name))}
