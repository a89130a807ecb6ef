"""Checkpoints of one architecture on one dataset, as tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.architectures import Layout
from zoobench.tokens.rows import Rows
from zoobench.tokens.schema import SPLITS
from zoobench.tokens.tokenizer import Tokenizer

OPEN = ["dataset", "train_images", "architecture", "width", "image_size", "activation", "channels", "classes", "split"]
"""Of a table, what says which function a checkpoint's weights are of, and on which images: nothing that was measured of
it, nor how it was trained."""


@dataclass(frozen=True, eq=False)
class Population:
    """Checkpoints that share a layout.

    rows: their flat weights, in memory or mapped from a file; splits: [checkpoints] int8, each one's split as its
    number in `SPLITS`; read_table: reads the table, one row a checkpoint in the same order, when first asked for.
    """

    name: str
    tokenizer: Tokenizer
    rows: Rows
    splits: NDArray[np.int8]
    read_table: Callable[[], pd.DataFrame]

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
        """One row a checkpoint."""
        return self.read_table()

    @cached_property
    def weights(self) -> Tensor:
        """[checkpoints, D] float32; where they are that in a file, and follow one another, they are not copied."""
        return self.rows.dense().float()

    @cached_property
    def tokens(self) -> Tensor:
        """[checkpoints, tokens, token_size] float32"""
        return self.tokenizer.tokens(self.weights)

    @cached_property
    def boundless(self) -> NDArray[np.bool_]:
        """[checkpoints] Which of them ran away: the sum of their squares is beyond float32, and so is whatever is made
        of it."""
        found = [piece.float().square().sum(1).isinf() for piece in self.rows.pieces()]
        return torch.cat([torch.zeros(0, dtype=torch.bool), *found]).numpy()

    def __len__(self) -> int:
        return len(self.rows)

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
        """The checkpoints of the models in the other splits."""
        return self.select(self.splits != SPLITS.index(name))

    def blind(self) -> Population:
        """The same checkpoints with `OPEN` columns only: what a method may know of those that it is asked about."""
        return replace(self, read_table=partial(_open, self))

    def with_weights(self, weights: Tensor) -> Population:
        """The same checkpoints with other weights [checkpoints, D], as after matching."""
        return replace(self, rows=Rows.of(weights))


def _given(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _open(population: Population) -> pd.DataFrame:
    return population.table[OPEN]


def _chosen(population: Population, rows: NDArray[np.bool_]) -> pd.DataFrame:
    return population.table[rows].reset_index(drop=True)
