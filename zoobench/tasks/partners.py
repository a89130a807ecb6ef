"""Other targets whose models a task reads beside those of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from zoo_generation.networks.registry import known_activation
from zoobench.populations import Population
from zoobench.tasks.base import Setting

SAME = ("dataset", "train_images", "classes")
"""Columns that are equal for models of the same images, each in its own size, or of parts of them, and of the same
classes."""


def partners_of(setting: Setting, columns: Sequence[str] = SAME) -> list[Population]:
    """The other targets with test models, all of which can be run, that agree with the target in the columns."""
    own = shared(setting.target, columns)
    return [
        each for each in setting.others if shared(each, columns) == own and len(each.split("test")) and _runnable(each)
    ]


def shared(population: Population, columns: Sequence[str] = SAME) -> tuple[object, ...] | None:
    """What is equal for all models of a population; None if it differs among these."""
    table = population.table.reindex(columns=list(columns))
    if not len(population) or (table.nunique(dropna=False) > 1).any():
        return None
    return tuple(None if pd.isna(value) else value for value in table.iloc[0])


def _runnable(population: Population) -> bool:
    return all(known_activation(each) is not None for each in population.table["activation"].unique())
