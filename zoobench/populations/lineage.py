"""Which of a population's models were trained from which.

A model is a child of the one whose trained weights its training began with. A model that was forked after epoch 0 has
only the initialization in common with its trunk, as models of equal seeds have: these are of one family, but of trees
of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoobench.populations.population import Population

NONE = -1
"""In place of a parent's row: there is none among the models."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """The last checkpoint of each of some models, and how they are related.

    models: n checkpoints; parents: [n] int64, the row of each one's parent, `NONE` if that is not among them; families:
    [n] the name of the initialization that its line began with.
    """

    models: Population
    parents: NDArray[np.int64]
    families: NDArray[np.str_]

    @classmethod
    def of(cls, population: Population) -> Lineage:
        """All models of a population; of each its last checkpoint."""
        table = population.table
        last = table.sort_values("epoch", kind="stable").drop_duplicates("model_id", keep="last").index
        models = population.select(table.index.isin(last)).with_own_table()
        rows = _columns(models.table)
        places = {name: place for place, name in enumerate(rows["model_id"])}
        forked = [places.get(parent, NONE) for parent in rows["parent"]]
        trained = [pd.notna(epoch) and epoch > 0 for epoch in rows["parent_epoch"]]
        parents = [parent if learnt else NONE for parent, learnt in zip(forked, trained, strict=True)]
        eldest = [_eldest(place, forked) for place in range(len(models))]
        names = [_start(rows.iloc[place]) for place in range(len(models))]
        families = np.array([names[place] for place in eldest], dtype=np.str_)
        return cls(models, np.array(parents, dtype=np.int64), families)

    def __len__(self) -> int:
        return len(self.models)

    @cached_property
    def roots(self) -> NDArray[np.int64]:
        """[n] the row of the first model of each one's tree, which is its own if it has no parent."""
        return np.array([_eldest(place, self.parents) for place in range(len(self))], dtype=np.int64)

    @cached_property
    def is_parent(self) -> NDArray[np.bool_]:
        """[n] which of the models have children."""
        return np.isin(np.arange(len(self)), self.parents)

    @cached_property
    def edges(self) -> NDArray[np.bool_]:
        """[n, n] whether the second model of a pair is the first one's parent."""
        return self.parents[:, None] == np.arange(len(self))

    def among(self, families: NDArray[np.str_]) -> Lineage:
        """The models of some families alone."""
        kept = np.isin(self.families, families)
        moved = np.append(kept.cumsum() - 1, NONE)  # the last is for those without a parent
        return Lineage(self.models.select(kept).with_own_table(), moved[self.parents[kept]], self.families[kept])


def _columns(table: pd.DataFrame) -> pd.DataFrame:
    """What decides lineage, as far as the table has it; missing columns are null."""
    return table.reindex(columns=["model_id", "parent", "parent_epoch", "init", "seed"])


def _eldest(place: int, parents: NDArray[np.int64] | list[int]) -> int:
    """The end of a line of parents; where it began if a damaged table has a circle."""
    line = [place]
    while (parent := int(parents[line[-1]])) != NONE:
        if parent in line:
            return place
        line.append(parent)
    return line[-1]


def _start(row: pd.Series) -> str:
    """The initialization of a model that was not forked; of one whose trunk is not known, the trunk's name."""
    if pd.notna(row["parent"]):
        return str(row["parent"])
    return str(row["model_id"]) if pd.isna(row["seed"]) else f"{row['init']} {row['seed']}"
