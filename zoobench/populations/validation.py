"""Find everything that is wrong with a token set on disk, each problem in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from zoo_generation.errors import InputError
from zoo_generation.files import MARK, SUMS, sha256_of
from zoobench.populations.card import PopulationCard, TokenCard, read_card
from zoobench.populations.parquet import COLUMN, DTYPES
from zoobench.populations.population import Population
from zoobench.populations.schema import SPLITS, TABLE
from zoobench.populations.tokenset import TokenSet
from zoobench.zoo.schema import conform


def problems_of(path: Path) -> Iterator[str]:
    """The problems of the token set at `path`, file by file; nothing if it has none.

    A problem that makes further checks impossible (no card, a file that has changed) is the last.
    """
    try:
        card = read_card(path)
        if altered := list(_sums(path, card)):
            yield from altered
            return
        tokens = TokenSet.read(path)
    except InputError as error:
        yield str(error)
        return
    for population, of in zip(tokens.populations, card.populations, strict=True):
        try:
            for problem in _population(path / of.file, population, card, of):
                yield f"{of.file}: {problem}"
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = str(error).split("\n")[0]
            yield f"{of.file}: {reason}"


def _sums(path: Path, card: TokenCard) -> Iterator[str]:
    """Whether the files are those that were written, and no others."""
    wanted = {"tokens.json", *(population.file for population in card.populations)}
    try:
        text = (path / SUMS).read_text()
    except (OSError, UnicodeDecodeError) as error:
        yield f"{SUMS} cannot be read ({error}); make the token set again"
        return
    lines = [line.partition("  ") for line in text.split("\n")]
    sums = {name: digest for digest, _, name in lines[:-1]}
    if lines[-1] != ("", "", "") or len(sums) != len(lines) - 1 or set(sums) != wanted:
        yield f"{SUMS} must name {', '.join(sorted(wanted))}, one per line behind its SHA-256, and nothing else"
    for name in sorted(wanted & set(sums)):
        if (path / name).is_file() and sha256_of(path / name) != sums[name]:
            yield f"{name} is not what was written: its SHA-256 differs from that in {SUMS}"
    for file in sorted(path.iterdir()):
        if file.name not in {SUMS, MARK, *wanted}:
            yield f"{file.name} is not a file of a token set"


def _population(file: Path, population: Population, card: TokenCard, of: PopulationCard) -> Iterator[str]:
    """The problems of a file; raises if it cannot be read, or lacks a column."""
    schema = pq.read_schema(file)
    names = [name for name in schema.names if name != COLUMN]
    table = conform(pq.ParquetFile(file).read(names), TABLE).to_pandas()
    element = DTYPES[card.dtype][1]
    kind = schema.field(COLUMN).type
    if kind != pa.list_(pa.field("element", element, nullable=False), population.layout.size):
        yield f"its weights are {kind}, and must be lists of {population.layout.size} {element}"
    if table.duplicated(["model_id", "epoch"]).any():
        yield "a checkpoint is in it twice"
    if (table.groupby("model_id")["split"].nunique() > 1).any():
        yield "checkpoints of one model are in several splits"
    if table["split"].tolist() != np.repeat(SPLITS, of.splits.counts).tolist():
        yield "its rows are not ordered by split as the card counts them"
    yield from _weights(file, population)


def _weights(file: Path, population: Population) -> Iterator[str]:
    """The mapped weights must be what a Parquet reader reads, and finite; one row group at a time."""
    start = 0
    reader = pq.ParquetFile(file)
    for number in range(reader.num_row_groups):
        column = reader.read_row_group(number, [COLUMN])[COLUMN].combine_chunks()
        rows = torch.arange(start, start + len(column))
        mapped = population.rows.select(rows).dense()
        flat = column.chunk(0).flatten() if isinstance(column, pa.ChunkedArray) else column.flatten()
        read = np.frombuffer(flat.buffers()[1], np.uint8)[flat.offset * mapped.itemsize :][: mapped.nbytes]
        if not np.array_equal(read, mapped.flatten().view(torch.uint8).numpy()):
            yield f"its weights cannot be mapped: row group {number} is not one plain page"
        if not bool(mapped.isfinite().all()):
            yield f"weights in row group {number} are not finite"
        population.rows.give_back()
        start += len(column)
