"""Predictions that were handed in: a flat Parquet table, whose footer and pages are checked before it is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zoobench.leaderboard.asked import CLASS
from zoobench.leaderboard.pages import check_pages
from zoobench.leaderboard.refusal import Refused
from zoobench.leaderboard.untrusted import kind_of, quoted

TYPES = {"BYTE_ARRAY": "string", "INT64": "int64", "DOUBLE": "double"}
COLUMNS = {
    "target": "string",
    "seed": "int64",
    "model": "string",
    "epoch": "int64",
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
    if not content.startswith(b"PAR1"):
        raise Refused([f"{name} is not Parquet, but {kind_of(content)}; write it with pandas' to_parquet"])
    limits = {"thrift_string_size_limit": FOOTER, "thrift_container_size_limit": 10_000}
    try:
        metadata = pq.ParquetFile(pa.BufferReader(content), **limits).metadata
        _check_metadata(metadata, rows)
        check_pages(content, metadata, most)
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=STRINGS, pre_buffer=False, **limits)
        return pd.DataFrame({column: _values(file, column) for column in COLUMNS})
    except ValueError as error:  # Arrow's are among them
        raise Refused([f"{name} cannot be taken: {quoted(error)}"]) from None
    except (pa.ArrowException, OSError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        raise Refused([f"{name} is damaged, and cannot be read as Parquet ({quoted(error)})"]) from None


def _check_metadata(metadata: pq.FileMetaData, rows: int) -> None:
    """Raise `ValueError` for another table than the one that is asked for."""
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    found = {column.path: TYPES.get(column.physical_type, column.physical_type.lower()) for column in columns}
    if found != COLUMNS or len(columns) != len(COLUMNS):
        wanted, given = (", ".join(f"{name} ({kind})" for name, kind in each.items()) for each in (COLUMNS, found))
        raise ValueError(f"its columns must be {wanted}; they are {quoted(given, 200)}")
    for column in columns:
        kinds = ("STRING",) if column.name in STRINGS else ("NONE", "INT")
        is_nested = column.max_repetition_level or column.max_definition_level > 1
        if is_nested or str(column.logical_type.type) not in kinds:
            raise ValueError(f"its column '{column.name}' is not a plain column of {COLUMNS[column.name]}s")
    if metadata.num_rows != rows:
        raise ValueError(
            f"it has {metadata.num_rows} rows, and must have {rows}: one for each target, seed, checkpoint and property"
        )
    if metadata.num_row_groups > GROUPS:
        raise ValueError(f"it has {metadata.num_row_groups} row groups, and may have {GROUPS}")
    if sum(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)) != rows:
        raise ValueError("its row groups have not as many rows as it says")


def _values(file: pq.ParquetFile, column: str) -> pd.Series:
    """A column, without what pandas would make of the file's own notes; raises `ValueError`."""
    chunked = file.read([column], use_threads=False, use_pandas_metadata=False).column(0)
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
