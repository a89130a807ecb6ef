"""The populations of a zoo in an exported dataset: with names of their own, and split by model."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from zoobench.zoo.inspection import KEYS, PopulationReport, population_report
from zoobench.zoo.schema import POPULATION, population_names
from zoobench.zoo.splits import splits_of
from zoobench.zoo.store import Zoo

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Hugging Face's name of a split by ours."""


@dataclass(frozen=True, eq=False)
class DatasetPopulation:
    """A population.

    name: valid for a file and for a configuration, and unique. row: the common columns of its models, `POPULATION`.
    splits: Hugging Face's split of each model, by id. checkpoints: their number in each split that has any. epochs: of
    checkpoints, sorted.
    """

    name: str
    row: dict[str, object]
    report: PopulationReport
    splits: dict[str, str]
    checkpoints: dict[str, int]
    epochs: tuple[int, ...]


def populations_of(zoo: Zoo) -> list[DatasetPopulation]:
    """All populations, also those without checkpoints."""
    models = [of for _, of in zoo.models.groupby(POPULATION, sort=False, dropna=False)]
    names = population_names(of.iloc[0] for of in models)
    return [_population(name, of, zoo.checkpoints) for name, of in zip(names, models, strict=True)]


def _population(name: str, models: pd.DataFrame, all_checkpoints: pd.DataFrame) -> DatasetPopulation:
    row = models.iloc[0]
    checkpoints = all_checkpoints[all_checkpoints["model_id"].isin(models["model_id"])]
    splits = _splits(models, checkpoints)
    counts = checkpoints["model_id"].map(splits).value_counts()
    return DatasetPopulation(
        name=name,
        row={column: row[column] for column in POPULATION},
        report=population_report(tuple(row[column] for column in KEYS), models, checkpoints),
        splits=splits,
        checkpoints={split: int(counts[split]) for split in SPLITS.values() if split in counts},
        epochs=tuple(int(epoch) for epoch in sorted(checkpoints["epoch"].unique())),
    )


def _splits(models: pd.DataFrame, checkpoints: pd.DataFrame) -> dict[str, str]:
    """The split of each model. Models that token sets take (those that did not diverge and were trained for an epoch)
    are split among themselves, so that they are in the same split there."""
    begun = set(checkpoints.loc[checkpoints["epoch"] >= 1, "model_id"])
    taken = models["model_id"].isin(begun) & (models["status"] != "diverged")
    parts = [part for part in (models[taken], models[~taken]) if len(part)]
    return {
        model: SPLITS[split] for part in parts for model, split in zip(part["model_id"], splits_of(part), strict=True)
    }
