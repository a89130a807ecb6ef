"""Inspect a zoo: counts, accuracies and cost of each population, also while it is being built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from zoo_generation.files import StoragePath, files_in, write_json
from zoo_generation.names import inside
from zoo_generation.training.sink import Status
from zoo_generation.training.spec import ModelSpec, make_spec
from zoobench.zoo.parts import FOLDERS, asked_at_once, part_names
from zoobench.zoo.store import Zoo

if TYPE_CHECKING:
    from zoobench.display.figures import Drawing

KEYS = ["dataset", "architecture", "width", "image_size"]  # of a population, as far as a spec decides them
BINS = 20  # of a histogram of accuracies from 0 to 1
HOUR = 3600.0  # seconds


@dataclass(frozen=True)
class EpochAccuracy:
    """Mean and standard deviation over models of the test accuracy after an epoch; the latter is None for one model."""

    epoch: int
    mean: float
    std: float | None


def population_title(dataset: str, architecture: str, width: float) -> str:
    """Dataset and architecture, with its width unless 1."""
    return f"{dataset} {architecture}" + ("" if width == 1 else f" ×{width:g}")


@dataclass(frozen=True)
class PopulationReport:
    """Models of one architecture on one dataset.

    models: their number by status, and how many of the zoo's spec are still `missing`. Accuracies are on test images,
    of the last checkpoints of the models that did not diverge, with a histogram of `BINS` bins from 0 to 1, and by
    epoch. Rates are per core: models of any status trained in an hour, and epochs of models that were trained to the
    end; None if no time was measured.
    """

    dataset: str
    architecture: str
    width: float
    image_size: int
    models: dict[str, int]
    checkpoints: int
    accuracy_mean: float | None
    accuracy_std: float | None
    accuracy_histogram: tuple[int, ...]
    accuracy_by_epoch: tuple[EpochAccuracy, ...]
    models_per_core_hour: float | None
    model_epochs_per_core_hour: float | None

    @property
    def title(self) -> str:
        return population_title(self.dataset, self.architecture, self.width)


@dataclass(frozen=True)
class ZooReport:
    """A zoo: its path, when and on what it was built, its training time, its size, its populations."""

    name: str
    path: str
    built: str
    hardware: str
    core_hours: float
    bytes: int
    populations: tuple[PopulationReport, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per population: how many models there are of each status, checkpoints, and test accuracies."""
        columns = ["dataset", "architecture", "width", "image_size", "checkpoints", "accuracy_mean", "accuracy_std"]
        rows = [{name: getattr(each, name) for name in columns} | each.models for each in self.populations]
        return pd.DataFrame(rows, columns=[*columns[:4], *get_args(Status), "missing", *columns[4:]])

    def __repr__(self) -> str:
        models = sum(sum(each.models.values()) - each.models["missing"] for each in self.populations)
        return f"<ZooReport {self.name}: {models} models, populations: {len(self.populations)}, {self.path}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table."""
        return f"<p>{escape(self.name)}: {escape(self.path)}</p>{self.table.to_html(index=False, escape=True)}"

    def figure(self) -> Drawing:
        """Test accuracies: a histogram and their course over epochs, one row of panels per population."""
        return figure_of(self.populations)

    def save(self, folder: str | Path) -> Path:
        """Write `zoo-<name>.json` and the figure, `zoo-<name>.png`, into a folder; returns the former."""
        from zoobench.display.figures import save

        file = inside(Path(folder), f"zoo-{self.name}", ".json")
        write_json(file, asdict(self))
        save(self.figure(), file.with_suffix(".png"))
        return file


def inspect_zoo(zoo: Zoo) -> ZooReport:
    """Count what a zoo holds and what is missing; safe to call while the zoo is being built.

    Raises `InputError` if the zoo is damaged.
    """
    begun = bool(part_names(zoo.path))
    models = zoo.models if begun else pd.DataFrame(columns=["model_id", *KEYS, "status", "seconds", "epochs"])
    checkpoints = zoo.checkpoints if begun else pd.DataFrame(columns=["model_id", "epoch", "test_accuracy"])
    wanted = wanted_models(zoo.card.get("spec") or {})
    found = dict(iter(models.groupby(KEYS)))
    return ZooReport(
        name=zoo.name,
        path=str(zoo.path),
        built=str(zoo.card.get("built", "")),
        hardware=str(zoo.card.get("hardware", "")),
        core_hours=float(models["seconds"].sum()) / HOUR,
        bytes=_bytes(zoo.path),
        populations=tuple(
            population_report(key, found.get(key, models[:0]), checkpoints, wanted.get(key, set()))
            for key in dict.fromkeys([*wanted, *found])
        ),
    )


def figure_of(populations: Sequence[PopulationReport]) -> Drawing:
    """Histograms of test accuracies and their course over epochs, one row of panels per population."""
    from zoobench.display import figures

    return figures.populations([asdict(each) | {"title": each.title} for each in populations])


def wanted_models(spec: dict[str, Any]) -> dict[tuple[Any, ...], set[str]]:
    """Ids of the models of a card's spec, by population; empty for a card without one.

    Raises `InputError` if the spec is not valid, or names an architecture that is not registered.
    """
    if not spec:
        return {}

    def key(model: ModelSpec) -> tuple[Any, ...]:
        return tuple(getattr(model, field) for field in KEYS)

    return {where: {model.id for model in of} for where, of in groupby(sorted(make_spec(spec).models(), key=key), key)}


def population_report(
    key: tuple[Any, ...], models: pd.DataFrame, checkpoints: pd.DataFrame, wanted: Collection[str] = ()
) -> PopulationReport:
    """A report on these models; key: values of `KEYS`; checkpoints: of any models; wanted: ids that should exist."""
    counts = {status: int((models["status"] == status).sum()) for status in get_args(Status)}
    whole = models[models["status"] != "diverged"]
    saved = checkpoints[checkpoints["model_id"].isin(models["model_id"])]
    measured = saved[saved["model_id"].isin(whole["model_id"])]
    last = measured.groupby("model_id")["test_accuracy"].last()
    by_epoch = measured.groupby("epoch")["test_accuracy"].agg(["mean", "std"])
    dataset, architecture, width, image_size = key
    return PopulationReport(
        dataset=str(dataset),
        architecture=str(architecture),
        width=float(width),
        image_size=int(image_size),
        models=counts | {"missing": len(set(wanted).difference(models["model_id"]))},
        checkpoints=len(saved),
        accuracy_mean=_number(last.mean()),
        accuracy_std=_number(last.std()),
        accuracy_histogram=tuple(int(count) for count in np.histogram(last, BINS, (0, 1))[0]),
        accuracy_by_epoch=tuple(
            EpochAccuracy(int(epoch), float(mean), _number(std)) for epoch, mean, std in by_epoch.itertuples()
        ),
        models_per_core_hour=_rate(len(models), models["seconds"]),
        model_epochs_per_core_hour=_rate(whole["epochs"].sum(), whole["seconds"]),
    )


def _rate(amount: float, seconds: Iterable[float]) -> float | None:
    hours = sum(taken for taken in seconds if taken == taken) / HOUR  # not known for generated models
    return float(amount) / hours if hours else None


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _bytes(zoo: StoragePath) -> int:
    files = [zoo / "zoo.json", *(file for folder in FOLDERS for file in files_in(zoo / folder, "[!.]*"))]
    return sum(asked_at_once(_size, files))


def _size(file: StoragePath) -> int:
    try:
        return int(file.stat().st_size)
    except FileNotFoundError:  # a build has removed it since
        return 0
