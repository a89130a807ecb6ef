"""Select the checkpoints of zoos for a token set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.architectures import Layout
from zoo_generation.training.sink import Status
from zoobench.populations.card import SelectionCard
from zoobench.populations.population import Population
from zoobench.populations.schema import SPLITS, TABLE
from zoobench.populations.tokenizer import Tokenizer, longest_row
from zoobench.zoo import POPULATION, Zoo, population_names
from zoobench.zoo.schema import JOINED, arrow_table, entries_of
from zoobench.zoo.splits import splits_of
from zoobench.zoo.store import digests_of

TOKEN_SIZE = 288  # at most, unless set otherwise: three 3×3 kernels of 32 channels; arXiv 2504.10141, section 4

KEPT: tuple[Status, ...] = ("trained", "at_chance")
"""Models whose weights are data: those that did not learn are predicted too; those that diverged are not finite."""

CHECKPOINT = ["model_id", "epoch"]
INCIDENTAL = ("seconds", "source")
"""Columns that may differ between two zoos for the same model: its training time, and where it was imported from."""


@dataclass(frozen=True)
class Stored:
    """A population that is not loaded yet.

    table: one row per checkpoint with its `split`, ordered by it; fetch: reads the weights [rows, D] of a slice of its
    rows; identify: returns for each row a text that changes with its weights. None means their digests.
    """

    name: str
    tokenizer: Tokenizer
    table: pd.DataFrame
    fetch: Callable[[slice], Tensor]
    identify: Callable[[], list[str]] | None = None

    @property
    def splits(self) -> tuple[int, ...]:
        """Checkpoints in each split."""
        counts = self.table["split"].value_counts()
        return tuple(int(counts.get(split, 0)) for split in SPLITS)


@dataclass(frozen=True)
class Selection:
    """Populations to load or write, with one token size."""

    token_size: int
    batch_norm: bool
    selection: SelectionCard
    sources: tuple[Stored, ...]

    @classmethod
    def of(cls, populations: Sequence[Population], token_size: int) -> Selection:
        """All checkpoints of populations that are opened, under their names; their tables are ordered by split."""
        return cls(
            token_size=token_size,
            batch_norm=populations[0].tokenizer.batch_norm,
            selection=SelectionCard(
                zoos=[each.name for each in populations], statuses=list(KEPT), first_epoch=1, split_seed=0
            ),
            sources=tuple(Stored(each.name, each.tokenizer, each.table, partial(_rows, each)) for each in populations),
        )

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits: a hash of the content of a token set of these, weights and measurements, except
        for training times. It depends neither on the parts of the zoos nor on their number."""
        digest = hashlib.sha256(repr((self.token_size, self.batch_norm)).encode())
        for source in self.sources:
            table = arrow_table(source.table.drop(columns="seconds", errors="ignore"), TABLE)
            weights = source.identify() if source.identify else digests_of(source.fetch(slice(None)))
            content = {"name": source.name, "layout": entries_of(source.tokenizer.layout), "weights": weights}
            columns = ((name, table[name].to_pylist()) for name in table.column_names)
            for each in chain(content.items(), columns):
                digest.update(json.dumps(each, default=str).encode())
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        """Checkpoints."""
        return sum(len(source.table) for source in self.sources)


def kept_statuses(names: Sequence[str]) -> tuple[Status, ...]:
    """Statuses by name. Raises `InputError` for one that is not among `KEPT`, and for an empty list."""
    names = [names] if isinstance(names, str) else names
    if not names:
        raise InputError(f"no status to keep was given; name one or more of {', '.join(KEPT)}")
    for name in names:
        if name not in KEPT:
            raise unknown("status to keep", name, KEPT)
    return tuple(status for status in KEPT if status in names)


def select_checkpoints(
    zoos: Sequence[Zoo],
    token_size: int | None = None,
    seed: int = 0,
    statuses: Sequence[Status] = KEPT,
    *,
    batch_norm: bool = True,
    first_epoch: int = 1,
) -> Selection:
    """The checkpoints of one or several zoos, split by model within each population: as imported models were published,
    others 70/15/15 by `seed`.

    first_epoch: the earliest to take, unless the model's spec has fewer: a generated one has a checkpoint at epoch 0
    and no other. `token_size` 0 means the longest row of all; None means the same, but at most 288. Raises `InputError`
    if nothing is left, if a population has two layouts, or if zoos have different models with the same id.
    """
    pieces = []
    for number, zoo in enumerate(zoos):
        table = zoo.checkpoints
        late = table["epoch"] >= table["epochs"].clip(upper=first_epoch)
        usable = table[table["status"].isin(list(statuses)) & late]
        pieces.append(usable.assign(zoo=number))
    table = pd.concat(pieces, ignore_index=True)
    if table.empty:
        raise InputError(f"no trained checkpoint in {', '.join(str(zoo.path) for zoo in zoos)}; train for more epochs")
    _check_common(table, zoos)
    populations = [rows for _, rows in table.groupby(POPULATION, sort=True)]
    tables = dict(zip(population_names(rows.iloc[0] for rows in populations), populations, strict=True))
    layouts = {name: _layout(name, rows, zoos) for name, rows in tables.items()}
    longest = max(longest_row(layout) for layout in layouts.values())
    size = min(longest, TOKEN_SIZE) if token_size is None else token_size or longest
    return Selection(
        token_size=size,
        batch_norm=batch_norm,
        selection=SelectionCard(
            zoos=[zoo.name for zoo in zoos], statuses=list(statuses), first_epoch=first_epoch, split_seed=seed
        ),
        sources=tuple(
            _source(name, Tokenizer.of(layouts[name], size, batch_norm), rows, zoos, seed)
            for name, rows in tables.items()
        ),
    )


def _rows(population: Population, rows: slice) -> Tensor:
    return population.weights[rows]


def _check_common(table: pd.DataFrame, zoos: Sequence[Zoo]) -> None:
    """Raise `InputError` if models of two zoos have the same id but are not known to be the same model.

    They are the same if they have common epochs, and agree there in weights and in all columns.
    """
    common = table[table.groupby("model_id")["zoo"].transform("nunique") > 1]
    if common.empty:
        return
    both = common[common.duplicated(CHECKPOINT, keep=False)]
    columns = [field.name for field in JOINED if field.name not in INCIDENTAL]
    compared = both[columns].assign(weights=_of_rows(both, zoos, Zoo.digests))
    different = compared.drop_duplicates()
    different = different[different.duplicated(CHECKPOINT, keep=False)]
    owners = ["model_id", "zoo"]
    alone = common[~pd.MultiIndex.from_frame(common[owners]).isin(pd.MultiIndex.from_frame(both[owners]))]
    if len(different):
        one, other = different[(different[CHECKPOINT] == different[CHECKPOINT].iloc[0]).all(axis=1)].index[:2]
        unequal = [name for name in compared.columns if compared[name][[one, other]].nunique(dropna=False) > 1]
        what = f"differ in '{unequal[-1]}' after epoch {table['epoch'][one]}"
    elif len(alone):
        one, model = alone.index[0], common[common["model_id"] == alone["model_id"].iloc[0]]
        other = model.index[model["zoo"] != alone["zoo"].iloc[0]][0]
        what = "have no epoch in common, so they cannot be compared"
    else:
        return
    first, second = (zoos[table["zoo"][place]].path for place in (one, other))
    raise InputError(
        f"the zoos {first} and {second} both have a model '{table['model_id'][one]}', and these {what}; take the zoos "
        "one at a time, or import one of them again"
    )


def _source(name: str, tokenizer: Tokenizer, rows: pd.DataFrame, zoos: Sequence[Zoo], seed: int) -> Stored:
    once = rows.drop_duplicates(["model_id", "epoch"])  # the same model may be in two zoos
    table = once.assign(split=splits_of(once, seed))
    table = table.sort_values("split", key=lambda split: split.map(SPLITS.index), kind="stable", ignore_index=True)
    return Stored(
        name,
        tokenizer,
        table.drop(columns=["part", "row", "zoo"]),
        partial(_fetch, zoos, table),
        partial(_identities, zoos, table),
    )


def _fetch(zoos: Sequence[Zoo], table: pd.DataFrame, rows: slice) -> Tensor:
    chosen = table.iloc[rows].reset_index(drop=True)
    pieces = {number: (of.index, zoos[of["zoo"].iloc[0]].weights(of)[0]) for number, of in chosen.groupby("zoo")}
    if len(pieces) == 1:
        return next(iter(pieces.values()))[1]
    order = torch.cat([torch.tensor(index) for index, _ in pieces.values()])
    return torch.cat([weights for _, weights in pieces.values()])[order.argsort()]


def _identities(zoos: Sequence[Zoo], table: pd.DataFrame) -> list[str]:
    return _of_rows(table, zoos, Zoo.identities)


def _of_rows(table: pd.DataFrame, zoos: Sequence[Zoo], ask: Callable[[Zoo, pd.DataFrame], list[str]]) -> list[str]:
    """Each zoo's information on its rows of a table, in the order of the table."""
    told = np.empty(len(table), dtype=object)
    for number in table["zoo"].unique():
        places = np.flatnonzero(table["zoo"] == number)
        told[places] = ask(zoos[number], table.iloc[places])
    return list(told)


def _layout(name: str, rows: pd.DataFrame, zoos: Sequence[Zoo]) -> Layout:
    layouts = {zoos[of["zoo"].iloc[0]].weights(of[:1])[1] for _, of in rows.groupby("zoo")}
    if len(layouts) > 1:
        raise InputError(f"models of {name} have different layers in different zoos; take these zoos one at a time")
    return layouts.pop()
