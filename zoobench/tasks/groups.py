"""Groups of models of one population that differ in what they started from, in the images they saw, or in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.networks.module import Network
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population

Differ = Literal["inits", "data", "inits_and_data"]
"""How the models of a group differ: in their initialization, with the same images; in their images, with the same start
(a trunk's weights, or an initialization); or in both."""

WANTED = {
    "inits": "models of different seeds on the same images",
    "data": "models on different parts of the images that were forked from one trunk (say `after` how many epochs)",
    "inits_and_data": "models of different seeds on different parts of the images",
}


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of models; models: their last checkpoints, and those of models on all images beside them; rows: of the
    models, int64 [groups, size]."""

    models: Population
    rows: Tensor

    @property
    def names(self) -> pd.Series:
        """By what each group is drawn again, for intervals: the id of its first model's trunk, or else of this model.

        No two groups share a model, but several may have the same trunk.
        """
        families = zip(self.of("parent"), self.of("model_id"), strict=True)
        return pd.Series([trunks[0] or ids[0] for trunks, ids in families])

    @property
    def alone(self) -> Groups:
        """The same groups, with no models but theirs."""
        used = np.isin(np.arange(len(self.models)), self.rows.numpy())
        return self._within(used, self.rows)

    def by_activation(self) -> Iterator[tuple[Tensor, Groups]]:
        """Which groups [n] have models of an activation, and these groups, with the models of that activation."""
        activation = self.models.table["activation"].astype(str)
        for each in activation.unique():
            mask = np.array(activation == each)
            chosen = torch.from_numpy(mask)[self.rows[:, 0]].nonzero().flatten()
            if len(chosen):
                yield chosen, self._within(mask, self.rows[chosen])

    def _within(self, mask: NDArray[np.bool_], rows: Tensor) -> Groups:
        """These groups, of the models that the mask keeps, renumbered."""
        return Groups(self.models.select(mask).with_own_table(), torch.from_numpy(mask.cumsum() - 1)[rows])

    def of(self, column: str) -> list[list[str | None]]:
        """Values of a column, by group and model; None where it is null or missing."""
        table = self.models.table
        values = table[column] if column in table else pd.Series([None] * len(table))
        return [[None if pd.isna(values[row]) else str(values[row]) for row in group] for group in self.rows.tolist()]

    def bases(self, target: Population) -> Tensor | None:
        """The weights [groups, D] from which all models of each group were trained. None if they have none in common,
        or if those of a group are not in the target."""
        table = self.models.table
        starts = starts_of(table)
        found: dict[str, Tensor | None] = {}
        for group in self.rows.tolist():
            if len({starts[row] for row in group}) > 1:
                return None
            if starts[group[0]] not in found:
                found[starts[group[0]]] = _base(table.loc[group[0]], target)
        bases = [found[starts[row]] for row in self.rows[:, 0].tolist()]
        known = [base for base in bases if base is not None]
        return torch.stack(known) if len(known) == len(bases) else None

    def joint(self) -> list[list[int]]:
        """For each group the rows of models trained on all images, from the same starts if there are such, and after as
        many epochs of a trunk; empty if its models were trained on all images too."""
        table = self.models.table
        parts, starts, forked = _column(table, "data_part"), starts_of(table), _column(table, "parent_epoch").isna()
        whole = [row for row in table.index if parts[row] is None]
        found = []
        for group in self.rows.tolist():
            alike = [row for row in whole if forked[row] == forked[group[0]] and parts[group[0]] is not None]
            same = [row for row in alike if starts[row] in {starts[each] for each in group}]
            found.append(same or alike)
        return found


def last_checkpoints(population: Population, split: str, after: int | None) -> Population:
    """The last checkpoint of each model of a split that was forked from a trunk after so many epochs.

    None means of each that was not forked.
    """
    last = _last(population.table, split, after)
    return population.select(population.table.index.isin(last.index)).with_own_table()


def with_trunks(population: Population, split: str, after: int | None) -> Population:
    """The same, and the checkpoints from which one knows what they were forked from."""
    table = population.table
    last = _last(table, split, after)
    forked = last[_column(last, "parent").notna()].drop_duplicates(["parent", "parent_epoch"])
    trunks = [_trunk(row, table) for _, row in forked.iterrows()]
    return population.select(table.index.isin([*last.index, *(row for row in trunks if row is not None)]))


def _last(table: pd.DataFrame, split: str, after: int | None) -> pd.DataFrame:
    """The rows of `last_checkpoints`."""
    forked = pd.to_numeric(_column(table, "parent_epoch"))
    chosen = (table["split"] == split) & (forked.isna() if after is None else forked == after)
    return table[chosen].sort_values("epoch", kind="stable").drop_duplicates("model_id", keep="last")


def draw_groups(population: Population, split: str, differ: Differ, size: int, after: int | None, seed: int) -> Groups:
    """Draw groups of models of a split, of which each is in one group at most.

    They share the activation. Raises `InapplicableError` if there is no such group.
    """
    models = last_checkpoints(population, split, after)
    table = models.table
    starts, parts = starts_of(table), _column(table, "data_part")
    known = sorted({part for part in parts if part is not None})
    order = table.sort_values("model_id").index.to_numpy()
    random = np.random.default_rng(seed)

    def fits(group: list[int], row: int) -> bool:
        """Whether a model may join a group."""
        if str(table.at[row, "activation"]) != str(table.at[group[0], "activation"]):
            return False
        other_start = starts[row] not in {starts[each] for each in group}
        if differ == "inits":
            return other_start and parts[row] == parts[group[0]]
        seen = Counter(parts[each] for each in group)
        if differ == "data":
            return starts[row] == starts[group[0]] and seen[parts[row]] == 0
        return other_start and seen[parts[row]] == min(seen[part] for part in known)  # parts may be fewer than models

    waiting = order[random.permutation(len(order))].tolist()
    if differ != "inits":
        waiting = [row for row in waiting if parts[row] is not None]
    groups: list[list[int]] = []
    while waiting:
        group = [waiting.pop(0)]
        for row in list(waiting):
            if len(group) < size and fits(group, row):
                group.append(row)
        if len(group) == size:
            groups.append(group)
            waiting = [row for row in waiting if row not in group]
    if not groups or (differ != "inits" and len(known) < 2):
        where = "that were not forked" if after is None else f"forked after epoch {after}"
        raise InapplicableError(
            f"{population.name} has no {size} {WANTED[differ]} among its {len(models)} {split} models {where}; take a "
            "larger zoo, smaller groups, or groups that differ in another way"
        )
    return Groups(models, torch.tensor(groups))


def starts_of(table: pd.DataFrame) -> list[str]:
    """What each model was trained from, as a text that is equal for the same weights: a trunk, or an initialization."""
    parents, epochs = _column(table, "parent"), _column(table, "parent_epoch")
    seeds, inits = _column(table, "seed"), _column(table, "init")
    return [
        f"{parents[row]} after {epochs[row]}"
        if parents[row] is not None
        else f"{inits[row]} {seeds[row]}"
        if seeds[row] is not None
        else str(table.at[row, "model_id"])
        for row in table.index
    ]


def _trunk(row: pd.Series, table: pd.DataFrame) -> int | None:
    """The row of the checkpoint of its trunk that a model was forked from; of another one of the trunk, if it was
    forked from the initialization, which can be drawn again; None if there is neither."""
    trunk = table[table["model_id"] == row["parent"]]
    there = trunk[trunk["epoch"] == row["parent_epoch"]]
    if there.empty and row["parent_epoch"] == 0:
        there = trunk
    return None if there.empty else int(there.index[0])


def _base(row: pd.Series, target: Population) -> Tensor | None:
    """The weights [D] that a model was trained from. None if they are not known."""
    if not pd.isna(row.get("parent")):
        number = _trunk(row, target.table)
        if number is None:
            return None
        trunk = target.table.iloc[number]
        if trunk["epoch"] == row["parent_epoch"]:
            return target.weights[number]
        row = trunk
    network = Network(
        row["architecture"], int(row["channels"]), int(row["classes"]), row["activation"], row["dropout"], row["width"]
    )
    return target.layout.flatten(network.build(int(row["seed"]), row["init"]).state_dict()).detach()


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column, its nulls None; all null if the table has none."""
    if name not in table:
        return pd.Series([None] * len(table), index=table.index, dtype=object)
    return table[name].astype(object).where(table[name].notna(), None)
