"""Predictions that were handed in: a flat Parquet table, whose footer and pages are checked before it is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zoo_generation.text import quoted
from zoobench.leaderboard.asked import CLASS
from zoobench.leaderboard.untrusted.files import kind_of
from zoobench.leaderboard.untrusted.parquet.footer import MARK, read_footer
from zoobench.leaderboard.untrusted.parquet.pages import check_pages
from zoobench.leaderboard.untrusted.refusal import Refused

COLUMNS = {
    "target": "string",
    "seed": "int64",
    "checkpoint": "string",
    "property": "string",
    "predicted": "double",
    "predicted_class": "string",
}
NULLABLE = {"predicted", "predicted_class"}
STRINGS = [name for name, kind in COLUMNS.items() if kind == "string"]
FOOTER = 1_000_000
"""Bytes that a file may have beside its values: statistics, schemas, notes of who wrote it."""

GROUPS = 100
"""Row groups, at most."""


def most_table_bytes(expected: pd.DataFrame) -> int:
    """Bytes that a file of so many rows, whose strings are no longer than these, has at most."""
    longest = sum(expected[name].str.len().max() for name in STRINGS if name in expected)
    return FOOTER + len(expected) * int(longest + 4 * CLASS + 8 * len(COLUMNS))


def read_table(name: str, content: bytes, rows: int, most: int) -> pd.DataFrame:
    """The columns `COLUMNS` of a file of so many rows, that takes `most` bytes decoded; raises `Refused`."""
    if not content.startswith(MARK):
        raise Refused([f"{name} is not Parquet, but {kind_of(content)}; write it with pandas' to_parquet"])
    try:
        check_pages(content, read_footer(content, COLUMNS, rows, GROUPS), most)
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=STRINGS, pre_buffer=False)
        return pd.DataFrame({column: _values(file, column) for column in COLUMNS})
    except ValueError as error:  # Arrow's are among them
        raise Refused([f"{name} cannot be taken: {quoted(error, 400)}"]) from None
    except Exception as error:  # libraries raise many things on hostile content
        raise Refused([f"{name} is damaged, and cannot be read as Parquet ({quoted(error, 400)})"]) from None


def _values(file: pq.ParquetFile, column: str) -> pd.Series:
    """A column, without what pandas would make of the file's own notes; raises `ValueError`."""
    chunked = file.read([column], use_threads=False, use_pandas_metadata=False).column(0)
    chunked.validate(full=True)  # a page may have indices beyond its dictionary, and bytes that are no text
    wanted = pa.dictionary(pa.int32(), pa.string()) if column in STRINGS else pa.type_for_alias(COLUMNS[column])
    if column in STRINGS and pa.types.is_dictionary(chunked.type):
        wanted = pa.dictionary(chunked.type.index_type, chunked.type.value_type, chunked.type.ordered)
        if not (pa.types.is_string(wanted.value_type) or pa.types.is_large_string(wanted.value_type)):
            raise ValueError(f"its column '{column}' is of type {quoted(chunked.type, 60)}, and must be string")
    if chunked.type != wanted:
        raise ValueError(f"its column '{column}' is of type {quoted(chunked.type, 60)}, and must be {COLUMNS[column]}")
    if chunked.null_count and column not in NULLABLE:
        raise ValueError(f"its column '{column}' holds {chunked.null_count} nulls, and may hold none")
    if column not in STRINGS:
        return pd.Series(chunked.to_numpy())
    pieces = [_strings(column, chunk) for chunk in chunked.chunks]
    return pd.Series(np.concatenate(pieces), dtype=object)


def _strings(column: str, chunk: pa.DictionaryArray) -> NDArray[Any]:
    """Strings as objects, each of which is in memory once, however often it stands in the column."""
    lengths = pa.compute.binary_length(chunk.dictionary)
    if (longest := pa.compute.max(lengths).as_py() or 0) > 4 * CLASS:
        raise ValueError(f"its column '{column}' holds a text of {longest} bytes, and may hold {4 * CLASS}")
    known = np.array([*chunk.dictionary.to_pylist(), None], dtype=object)
    return known[chunk.indices.fill_null(len(known) - 1).to_numpy()]
