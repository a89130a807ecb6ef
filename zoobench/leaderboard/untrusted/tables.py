"""Untrusted tables: flat Parquet files, whose footer and pages are checked before they are decoded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zoo_generation.text import quoted
from zoobench.leaderboard.untrusted.files import Refused, kind_of
from zoobench.leaderboard.untrusted.parquet import MARK, check_pages, read_footer

FOOTER = 1_000_000
"""Bytes that a file may have beside its values: statistics, schemas, notes on its writer."""

GROUPS = 100
"""Row groups, at most."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table: the type of each (`string`, `int64`, `double`), which may hold nulls, and the longest
    text in bytes."""

    types: Mapping[str, str]
    nullable: Collection[str]
    longest: int


def most_table_bytes(columns: Columns, rows: int, texts: int) -> int:
    """The largest file size in bytes for that many rows; texts: largest total of a row's texts in bytes."""
    return FOOTER + rows * (texts + 8 * len(columns.types))


def read_table(name: str, content: bytes, columns: Columns, rows: int, most: int) -> pd.DataFrame:
    """The table in a file with exactly these columns and rows, of `most` bytes when decoded. Raises `Refused`."""
    if not content.startswith(MARK):
        raise Refused([f"{name} is not Parquet, but {kind_of(content)}; write it with pandas' to_parquet"])
    try:
        check_pages(content, read_footer(content, columns.types, rows, GROUPS), most)
        strings = [column for column, kind in columns.types.items() if kind == "string"]
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=strings, pre_buffer=False)
        return pd.DataFrame({column: _values(file, column, columns) for column in columns.types})
    except ValueError as error:  # Arrow's are among them
        raise Refused([f"{name} cannot be read: {quoted(error, 400)}"]) from None
    except Exception as error:  # libraries raise many things on hostile content
        raise Refused([f"{name} is damaged and cannot be read as Parquet ({quoted(error, 400)})"]) from None


def _values(file: pq.ParquetFile, column: str, columns: Columns) -> pd.Series:
    """A column, ignoring the file's own notes for pandas. Raises `ValueError`."""
    chunked = file.read([column], use_threads=False, use_pandas_metadata=False).column(0)
    chunked.validate(full=True)  # a page may have indices beyond its dictionary, or bytes that are not text
    kind, is_text = columns.types[column], columns.types[column] == "string"
    wanted = pa.dictionary(pa.int32(), pa.string()) if is_text else pa.type_for_alias(kind)
    if is_text and pa.types.is_dictionary(chunked.type):
        wanted = pa.dictionary(chunked.type.index_type, chunked.type.value_type, chunked.type.ordered)
        if not (pa.types.is_string(wanted.value_type) or pa.types.is_large_string(wanted.value_type)):
            raise ValueError(f"its column '{column}' is of type {quoted(chunked.type, 60)}, but must be string")
    if chunked.type != wanted:
        raise ValueError(f"its column '{column}' is of type {quoted(chunked.type, 60)}, but must be {kind}")
    if chunked.null_count and column not in columns.nullable:
        raise ValueError(f"its column '{column}' holds {chunked.null_count} nulls, but may hold none")
    if not is_text:
        return pd.Series(chunked.to_numpy())
    pieces = [_strings(column, chunk, columns.longest) for chunk in chunked.chunks]
    return pd.Series(np.concatenate(pieces), dtype=object)


def _strings(column: str, chunk: pa.DictionaryArray, most: int) -> NDArray[Any]:
    """Strings as objects, each in memory once, however often it occurs in the column."""
    lengths = pa.compute.binary_length(chunk.dictionary)
    if (longest := pa.compute.max(lengths).as_py() or 0) > most:
        raise ValueError(f"its column '{column}' holds a text of {longest} bytes, but may hold {most}")
    known = np.array([*chunk.dictionary.to_pylist(), None], dtype=object)
    return known[chunk.indices.fill_null(len(known) - 1).to_numpy()]
