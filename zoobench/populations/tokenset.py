"""A token set: checkpoints of one or several zoos, split by model, ready to be read as tokens.

On disk it is a directory: `tokens.json` (format, token size, layout of each population), a Parquet file for each
population (one row per checkpoint, ordered by split, with its weights), `SHA256SUMS`. Tokens are gathered from flat
weights when asked for; masks and positions follow from the layout and are not stored. See `docs/format.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import write_json, writing_into
from zoo_generation.kept import kept, sealed, tell
from zoo_generation.progress import QUIET, Progress, Step
from zoo_generation.provenance import versions
from zoobench.populations.card import Dtype, PopulationCard, TokenCard, read_card
from zoobench.populations.parquet import DTYPES, Group, blocks_of, read_columns, rows_per_group, write_checkpoints
from zoobench.populations.population import Population
from zoobench.populations.rows import Rows
from zoobench.populations.schema import SPLITS, TABLE
from zoobench.populations.selection import Selection, Stored
from zoobench.populations.tokenizer import Tokenizer
from zoobench.zoo.schema import arrow_table


@dataclass(frozen=True)
class TokenSet:
    """Populations with one token size."""

    token_size: int
    populations: tuple[Population, ...]

    @property
    def counts(self) -> pd.DataFrame:
        """One row per population: its name, checkpoints by split, and weights and tokens of each checkpoint."""
        return pd.DataFrame(
            {"population": each.name}
            | {split: int((each.splits == number).sum()) for number, split in enumerate(SPLITS)}
            | {"weights": each.layout.size, "tokens": len(each.tokenizer)}
            for each in self.populations
        )

    def __repr__(self) -> str:
        checkpoints = ", ".join(f"{each.name} {len(each)}" for each in self.populations)
        return f"<TokenSet, tokens of {self.token_size}; checkpoints: {checkpoints}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the counts."""
        return f"<p>Tokens of {self.token_size}</p>{self.counts.to_html(index=False, escape=True)}"

    def split(self, name: str) -> TokenSet:
        return TokenSet(self.token_size, tuple(population.split(name) for population in self.populations))

    def without(self, name: str) -> TokenSet:
        return TokenSet(self.token_size, tuple(population.without(name) for population in self.populations))

    def bounded(self) -> TokenSet:
        """Without checkpoints that are `boundless`, from which nothing can be learned; prints which ones.

        Raises `InputError` if no others are left.
        """
        if not any(population.boundless.any() for population in self.populations):
            return self
        for population in self.populations:
            for row in population.table[population.boundless].itertuples():
                tell(
                    f"model {row.model_id} after epoch {row.epoch} is left out of what methods learn from and are "
                    "measured on: it ran away, and the sum of its weights' squares is beyond float32"
                )
        kept = [population.select(~population.boundless) for population in self.populations]
        if not any(map(len, kept)):
            raise InputError("all checkpoints ran away: the sum of their weights' squares is beyond float32")
        return TokenSet(self.token_size, tuple(population for population in kept if len(population)))

    @classmethod
    def load(cls, selected: Selection) -> TokenSet:
        """Load selected checkpoints into memory."""
        populations = tuple(
            Population.of(source.name, source.tokenizer, source.fetch(slice(None)), source.table)
            for source in selected.sources
        )
        return cls(selected.token_size, populations)

    @classmethod
    def read(cls, path: Path) -> TokenSet:
        """Open a token set: its weights are mapped, and a table is read at its first use.

        Raises `InputError` if it is missing or damaged.
        """
        card = read_card(path)
        return cls(card.token_size, tuple(_open(path, card, population) for population in card.populations))


def write_token_set(path: Path, selected: Selection, dtype: Dtype = "float32", progress: Progress = QUIET) -> TokenSet:
    """Write a token set as a directory, whole or not at all, and open it. One row group at a time is in memory.

    Raises `InputError` if something else is there, or if it cannot be written.
    """
    if path.exists() and not (path / "tokens.json").is_file():
        raise InputError(f"{path} exists and is not a token set; choose another --out")
    with writing_into(path):
        return _write(path, selected, dtype, progress.stage("tokenizing"))


def _write(path: Path, selected: Selection, dtype: Dtype, step: Step) -> TokenSet:
    told, cards = 0, []
    with sealed(path) as aside:
        for source in selected.sources:
            file = aside / f"{source.name}.parquet"
            size = source.tokenizer.layout.size

            def groups(source: Stored = source) -> Iterator[Group]:
                nonlocal told
                for group in _groups(source, dtype):
                    yield group
                    told += len(group[0])
                    step(told, len(selected))

            write_checkpoints(file, groups(), size, dtype)
            cards.append(PopulationCard.of(source.name, source.tokenizer.layout, source.splits, file.stat().st_size))
        card = TokenCard(
            token_size=selected.token_size,
            batch_norm=selected.batch_norm,
            dtype=dtype,
            selection=selected.selection,
            populations=cards,
            versions=versions(),
        )
        write_json(aside / "tokens.json", card.model_dump(mode="json"))
    return TokenSet.read(path)


def kept_token_set(selected: Selection, folder: Path, progress: Progress = QUIET) -> tuple[str, TokenSet]:
    """The digest of selected checkpoints, and their token set in the folder: the kept one, or one that is made now.

    Checkpoints that ran away are left out, see `TokenSet.bounded`.
    """
    path = folder / selected.digest
    tokens = kept(path, TokenSet.read)
    if tokens is None:
        tokens = write_token_set(path, selected, progress=progress)
    return selected.digest, tokens.bounded()


def _groups(source: Stored, dtype: Dtype) -> Iterator[Group]:
    step = rows_per_group(source.tokenizer.layout.size, dtype)
    table = arrow_table(source.table, TABLE)
    for start in range(0, len(table), step):
        yield table.slice(start, step), source.fetch(slice(start, start + step))


def _open(path: Path, card: TokenCard, of: PopulationCard) -> Population:
    file = path / of.file
    tokenizer = Tokenizer.of(of.layout, card.token_size, card.batch_norm)
    size = tokenizer.layout.size
    try:
        if (found := file.stat().st_size) != of.bytes:
            raise ValueError(f"it has {found} bytes, but {of.bytes} in the card")
        blocks = blocks_of(file, size, card.dtype)
        rows = Rows.mapped(file, DTYPES[card.dtype][0], size, blocks)
        if len(rows) != sum(of.splits.counts):
            raise ValueError(f"it has {len(rows)} rows, but {sum(of.splits.counts)} in the card")
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the token set {path} is damaged ({of.file}: {reason}); make it again") from None
    splits = np.repeat(np.arange(len(SPLITS), dtype=np.int8), of.splits.counts)
    return Population(of.name, tokenizer, rows, splits, partial(read_columns, file))
