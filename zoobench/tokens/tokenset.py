"""A token set: the checkpoints of one or several zoos, split by model, ready to be read as tokens.

On disk it is a directory: `tokens.json` (format, token size, layout of each population), `checkpoints.parquet`
(one row a checkpoint, with its split), `<population>.safetensors` (`weights` [checkpoints, D]). Tokens are
gathered from flat weights when asked for; masks and positions follow from the layout and are not stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.architectures import Layout
from zoo_generation.errors import InputError, unknown
from zoo_generation.sink import Status
from zoobench.files import directory_written_aside, read_json, write_json
from zoobench.tokens.tokenizer import Tokenizer, longest_row
from zoobench.zoo import POPULATION, Zoo, split_models

FORMAT = "zoobench-tokens/1"
TOKEN_SIZE = 288  # at most, unless asked otherwise: three 3×3 kernels of 32 channels; arXiv 2504.10141, section 4

KEPT: tuple[Status, ...] = ("trained", "at_chance")
"""Models whose weights are data: one that did not learn is to be predicted too, one that diverged holds no numbers."""


@dataclass(frozen=True, eq=False)
class Population:
    """Checkpoints of one architecture on one dataset.

    weights: [checkpoints, D] float32; table: one row a checkpoint, in the same order.
    """

    name: str
    tokenizer: Tokenizer
    weights: Tensor
    table: pd.DataFrame

    @property
    def layout(self) -> Layout:
        return self.tokenizer.layout

    @cached_property
    def tokens(self) -> Tensor:
        """[checkpoints, tokens, token_size]"""
        return self.tokenizer.tokens(self.weights)

    def __len__(self) -> int:
        return len(self.table)

    def select(self, rows: pd.Series | NDArray[np.bool_]) -> Population:
        """The checkpoints whose row of the table is true."""
        chosen = np.asarray(rows, dtype=bool)
        return dataclasses.replace(
            self,
            weights=self.weights[torch.tensor(chosen)],
            table=self.table[chosen].reset_index(drop=True),
        )

    def split(self, name: str) -> Population:
        """The checkpoints of the models in split `train`, `val` or `test`."""
        return self.select(self.table["split"] == name)


@dataclass(frozen=True)
class TokenSet:
    """Populations under one token size."""

    token_size: int
    populations: tuple[Population, ...]

    def split(self, name: str) -> TokenSet:
        return TokenSet(self.token_size, tuple(population.split(name) for population in self.populations))

    def write(self, path: Path) -> None:
        """Write the token set as a directory, whole or not at all."""
        with directory_written_aside(path) as aside:
            for population in self.populations:
                save_file({"weights": population.weights}, aside / f"{population.name}.safetensors")
            tables = [population.table.assign(population=population.name) for population in self.populations]
            pd.concat(tables, ignore_index=True).to_parquet(aside / "checkpoints.parquet", index=False)
            layouts = {population.name: population.layout.shapes for population in self.populations}
            write_json(aside / "tokens.json", {"format": FORMAT, "token_size": self.token_size, "layouts": layouts})

    @classmethod
    def read(cls, path: Path) -> TokenSet:
        """Read a token set; weights are memory-mapped. Raises `InputError` where it is damaged or none."""
        card = read_json(path / "tokens.json", "the card of the token set")
        if card.get("format") != FORMAT:
            raise InputError(f"{path} is in format {card.get('format')!r}, and this zoobench reads {FORMAT!r}")
        try:
            table = pd.read_parquet(path / "checkpoints.parquet")
            populations = [
                Population(
                    name,
                    Tokenizer.of(Layout.of_shapes({k: tuple(v) for k, v in shapes.items()}), card["token_size"]),
                    load_file(path / f"{Path(name).name}.safetensors")["weights"],
                    table[table["population"] == name].drop(columns="population").reset_index(drop=True),
                )
                for name, shapes in card["layouts"].items()
            ]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            reason = str(error).split("\n")[0]
            raise InputError(f"the token set {path} is damaged ({reason}); delete it and make it again") from None
        return cls(card["token_size"], tuple(populations))


def kept_statuses(names: Sequence[str]) -> tuple[Status, ...]:
    """Statuses by name; raises `InputError` for one that is not among `KEPT`, and for none at all."""
    if not names:
        raise InputError(f"no status to keep was given; name one or more of {', '.join(KEPT)}")
    for name in names:
        if name not in KEPT:
            raise unknown("status to keep", name, KEPT)
    return tuple(status for status in KEPT if status in names)


def build_token_set(
    zoos: Sequence[Zoo], token_size: int | None = None, seed: int = 0, statuses: Sequence[Status] = KEPT
) -> TokenSet:
    """The trained checkpoints of one or several zoos as a token set, split by model within each population.

    Models of other statuses, and checkpoints of epoch 0 (nothing learned yet), are left out. `token_size` 0 means
    the longest row of all; none means that, but at most 288.
    """
    loaded: dict[str, list[tuple[Tensor, Layout, pd.DataFrame]]] = {}
    for zoo in zoos:
        for name, table in _populations(zoo, statuses):
            weights, layout = zoo.weights(table)
            loaded.setdefault(name, []).append((weights, layout, table.drop(columns=["part", "row"])))
    if not loaded:
        raise InputError(f"no trained checkpoint in {', '.join(str(zoo.path) for zoo in zoos)}; train for more epochs")
    longest = max(longest_row(pieces[0][1]) for pieces in loaded.values())
    size = min(longest, TOKEN_SIZE) if token_size is None else token_size or longest
    populations = []
    for name, pieces in loaded.items():
        table = pd.concat([table for _, _, table in pieces], ignore_index=True)
        table = table.assign(split=split_models(table["model_id"], seed))
        weights = torch.cat([weights for weights, _, _ in pieces])
        population = Population(name, Tokenizer.of(pieces[0][1], size), weights, table)
        first = ~table.duplicated(["model_id", "epoch"])  # the same model may stand in two zoos
        populations.append(population.select(first))
    return TokenSet(size, tuple(populations))


def _populations(zoo: Zoo, statuses: Sequence[Status]) -> Iterator[tuple[str, pd.DataFrame]]:
    table = zoo.checkpoints
    usable = table[table["status"].isin(statuses) & (table["epoch"] > 0)]
    for _, rows in usable.groupby(POPULATION, sort=True):
        yield population_name(rows.iloc[0]), rows


def population_name(row: pd.Series) -> str:
    """A population's name: dataset, architecture with its width unless 1, channels and image size."""
    width = "" if row["width"] == 1 else f"-w{row['width']:g}"
    architecture = row["architecture"].replace(":", ".")  # a user's import path, in the names of files
    return f"{row['dataset']}-{architecture}{width}-{row['channels']}x{row['image_size']}"
