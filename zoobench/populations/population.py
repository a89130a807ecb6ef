"""Checkpoints of one architecture on one dataset, as tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.training.spec import AXES
from zoobench.populations.evidence import Evidence
from zoobench.populations.rows import Rows
from zoobench.populations.schema import SPLITS
from zoobench.populations.tokenizer import Tokenizer

OPEN = [
    "dataset",
    "train_images",
    "data_part",
    "architecture",
    "width",
    "image_size",
    "activation",
    "channels",
    "classes",
]
"""Columns that say which function checkpoints' weights compute, and on which images, but nothing that was measured of
them, nor how they were trained."""

HYPERPARAMETERS = [*(axis for axis in AXES if axis not in ("width", "schedule")), "data_part"]

Answer = TypeVar("Answer", Tensor, NDArray[Any])
"""A method's answer about checkpoints: one row each."""


@dataclass(frozen=True, eq=False)
class Population:
    """Checkpoints that share a layout.

    rows: their flat weights, in memory or mapped from a file; splits: [checkpoints] int8, each one's split as its
    number in `SPLITS`; read_table: reads the table, one row per checkpoint in the same order, when first asked for;
    granted: what data a method may see besides, see `evidence` and `shown`.
    """

    name: str
    tokenizer: Tokenizer
    rows: Rows
    splits: NDArray[np.int8]
    read_table: Callable[[], pd.DataFrame]
    granted: Evidence = field(default=Evidence(), repr=False)

    @classmethod
    def of(cls, name: str, tokenizer: Tokenizer, weights: Tensor, table: pd.DataFrame) -> Population:
        """A population in memory: weights [checkpoints, D], and their table, which has a column `split`."""
        splits = pd.Categorical(table["split"], categories=SPLITS).codes.astype(np.int8)
        return cls(name, tokenizer, Rows.of(weights), splits, partial(_given, table))

    @property
    def layout(self) -> Layout:
        return self.tokenizer.layout

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per checkpoint."""
        return self.read_table()

    @property
    def row(self) -> pd.Series:
        """The columns of the first checkpoint, for what all share, such as their images: `data_part` is null if models
        were trained on different parts, whose images together are those of all."""
        row = self.table.iloc[0].copy()
        if "data_part" in row and self.table["data_part"].nunique(dropna=False) > 1:
            row["data_part"] = None
        return row

    @cached_property
    def weights(self) -> Tensor:
        """[checkpoints, D] float32; not copied if the file has them so, one after another."""
        return self.rows.dense().float()

    @cached_property
    def tokens(self) -> Tensor:
        """[checkpoints, tokens, token_size] float32"""
        return self.tokenizer.tokens(self.weights)

    @cached_property
    def boundless(self) -> NDArray[np.bool_]:
        """[checkpoints] Which of them ran away: the sum of their squares is beyond float32, and so is everything
        computed from it."""
        found = [piece.float().square().sum(1).isinf() for piece in self.rows.pieces()]
        return torch.cat([torch.zeros(0, dtype=torch.bool), *found]).numpy()

    def __repr__(self) -> str:
        tokens = f"{len(self.tokenizer)} tokens of {self.tokenizer.token_size}"
        return f"<Population {self.name}: {len(self)} checkpoints, {self.layout.size} weights, {tokens}>"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def evidence(self) -> Evidence:
        """The images, or statistics of them, that a method may see with these models; by default none."""
        return self.granted.of(self)

    def shown(self, evidence: Evidence) -> Population:
        """The same checkpoints with this evidence. Only `zoobench.methods.granting` calls this."""
        return replace(self, granted=evidence)

    def select(self, rows: pd.Series | NDArray[np.bool_]) -> Population:
        """The checkpoints whose row of the table is true; weights are not copied."""
        chosen = np.array(rows, dtype=bool)
        return replace(
            self,
            rows=self.rows.select(torch.from_numpy(chosen)),
            splits=self.splits[chosen],
            read_table=partial(_chosen, self, chosen),
        )

    def split(self, name: str) -> Population:
        """The checkpoints of the models in split `train`, `val` or `test`."""
        return self.select(self.splits == SPLITS.index(name))

    def without(self, name: str) -> Population:
        """The checkpoints of the models in the other splits, with a table of their own."""
        return self.select(self.splits != SPLITS.index(name)).with_own_table()

    def with_own_table(self) -> Population:
        """The same checkpoints with their table alone: the checkpoints around them cannot be reached."""
        return self.with_table(self.table.copy())

    def with_table(self, table: pd.DataFrame) -> Population:
        """The same checkpoints with another table, one row for each in the same order."""
        return replace(self, read_table=partial(_given, table))

    def alone(self) -> Population:
        """The same checkpoints, with weights and table of their own: no others can be reached."""
        return replace(self.with_own_table(), rows=self.rows.copied(torch.arange(len(self))))

    def known(self, hidden: Collection[str] = ()) -> Population:
        """The same checkpoints, alone, with `OPEN` columns and splits: for a method that learns the rest in another
        way. Columns that are `hidden` are null."""
        return self.taken(torch.arange(len(self)), hidden)

    def taken(self, numbers: Tensor, hidden: Collection[str] = ()) -> Population:
        """The checkpoints of these numbers, in this order, also several times, with the columns of `known`."""
        columns = [name for name in (*OPEN, "split") if name in self.table]
        found = self.ordered(numbers)
        table = found.table[columns].assign(**dict.fromkeys(hidden)).copy()  # a view would hold what was measured
        return found.with_table(table)

    def ordered(self, numbers: Tensor) -> Population:
        """The checkpoints of these numbers, in this order, also several times, with all columns."""
        table = self.table.iloc[numbers.tolist()].reset_index(drop=True)
        rows, splits = self.rows.copied(numbers), self.splits[numbers.numpy()]
        return replace(self, rows=rows, splits=splits, read_table=partial(_given, table))

    def onto(self, dataset: str, train_images: int | None) -> Population:
        """The same checkpoints as models for all images of another dataset, of which so many are to train on, None for
        all: these are what `evidence` gives. Images keep the size and channels that the models see."""
        return self.with_table(self.table.assign(dataset=dataset, train_images=train_images, data_part=None))

    def as_anchors(self) -> Population:
        """The same checkpoints, alone, as a generator sees them: `OPEN` columns, `init`, `val_accuracy`, `split`.

        That they are the best training models is no secret; all other measurements are.
        """
        columns = [name for name in (*OPEN, "init", "val_accuracy", "split") if name in self.table]
        rows = self.rows.copied(torch.arange(len(self)))
        return replace(self, rows=rows, read_table=partial(_given, self.table[columns].copy()))

    @cached_property
    def names(self) -> NDArray[np.str_]:
        """[checkpoints] the name under which each is asked about: sixteen hexadecimal digits of the SHA-256 of its
        weights, as float32, so the name reveals nothing more than they do. Checkpoints with the same weights share a
        name.

        Raises `InputError` if checkpoints with different weights share one.
        """
        digests = []
        for part in torch.arange(len(self)).split(self.rows.at_once(self.layout.size * 4)):
            weights = self.rows.select(part).dense().float().numpy().astype("<f4", copy=False)
            digests += [hashlib.sha256(row.tobytes()).hexdigest() for row in weights]
            self.rows.give_back()
        names = [digest[:16] for digest in digests]
        if len(set(names)) < len(set(digests)):
            raise InputError(f"two checkpoints of {self.name} with different weights share a name; leave one out")
        return np.array(names, dtype=np.str_)

    @cached_property
    def order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The map to the order of names and back: the first checkpoint of each different name, sorted [names], and the
        place of each checkpoint's name among these [checkpoints]."""
        _, first, place = np.unique(self.names, return_index=True, return_inverse=True)
        return first, place

    def blind(self, hidden: Collection[str] = ()) -> Population:
        """These checkpoints as given to a method that is asked about them: each once, in the order of `names`.

        The table has the `OPEN` columns that all checkpoints of a name share, null if they differ or are `hidden`; all
        count as test models. No other checkpoint, and nothing else about these, can be reached.
        """
        first, _ = self.order
        table = {}
        for name in OPEN:
            if name in self.table:
                values = self.table[name].drop_duplicates()
                table[name] = values.iloc[0] if len(values) == 1 and name not in hidden else None
        return replace(
            self,
            rows=self.rows.copied(torch.from_numpy(first)),
            splits=np.full(len(first), SPLITS.index("test"), dtype=np.int8),
            read_table=partial(_given, pd.DataFrame(table | {"split": "test"}, index=range(len(first)))),
        )

    @property
    def is_blind(self) -> bool:
        """Whether a method is asked about it: then its table lacks columns because they are hidden, not unknown."""
        return "model_id" not in self.table

    def asked(self, ask: Callable[[Population], Answer], hidden: Collection[str] = ()) -> Answer:
        """The answer about these checkpoints from that about the blind ones, one row each in their own order.

        Raises `InputError` if the answer does not have one row for each that was asked about.
        """
        first, place = self.order
        answer = ask(self.blind(hidden))
        if len(answer) != len(first):
            raise InputError(
                f"the method gave {len(answer)} rows for {len(first)} checkpoints; let it give one for each"
            )
        return answer[place]

    def with_weights(self, weights: Tensor) -> Population:
        """The same checkpoints with other weights [checkpoints, D], for example after matching."""
        return replace(self, rows=Rows.of(weights))


def _given(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _chosen(population: Population, rows: NDArray[np.bool_]) -> pd.DataFrame:
    return population.table[rows].reset_index(drop=True)


def varying_classes(table: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Names and values, as strings, of the hyperparameters that vary and are recorded of every checkpoint."""
    for column in HYPERPARAMETERS:
        if column in table and table[column].notna().all():
            values = as_classes(table[column])
            if len(set(values)) > 1:
                yield column, values


def as_classes(column: pd.Series) -> NDArray[np.str_]:
    """Values as strings."""
    return column.to_numpy().astype(np.str_)
