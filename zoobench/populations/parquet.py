"""Parquet tables of checkpoints with their weights: readable by any Parquet reader, and memory-mapped here.

A column of fixed-size lists without nulls, plain and uncompressed, is stored as the matrix itself, behind a short
header per page. So each row group has one page of it, placed so that the matrix begins at a multiple of 64 bytes. This
leaves gaps between row groups, which are allowed: Parquet's footer says where everything is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.zoo.schema import with_added

COLUMN = "weights"
DTYPES: dict[str, tuple[torch.dtype, pa.DataType]] = {
    "float32": (torch.float32, pa.float32()),
    "float16": (torch.float16, pa.float16()),
    "bfloat16": (torch.bfloat16, pa.binary(2)),  # Parquet lacks this type: its two bytes
}
ALIGNMENT = 64  # bytes
GROUP_BYTES = 64 * 2**20  # of weights in a row group, unless one row has more
GROUP_ROWS = 16_384  # at most; the writer begins another page after 20,000
PAGE_BYTES = 2**30  # more than a group has, so that it has one page; Parquet allows 2 GiB
MATRIX = "weights.list.element"  # the column's path among the file's leaves

Group = tuple[pa.Table, Tensor]
"""Rows of a table, and their weights [rows, D]."""

Block = tuple[int, int]
"""Offset in bytes of the weights of consecutive rows, and the number of these rows."""


def rows_per_group(size: int, dtype: str) -> int:
    """Rows of weights of length `size` per row group."""
    row = size * DTYPES[dtype][0].itemsize
    return max(1, min(GROUP_ROWS, GROUP_BYTES // max(1, row)))


def write_checkpoints(path: Path, groups: Iterable[Group], size: int, dtype: str) -> None:
    """Write row groups; at least one.

    Raises `OSError` if the storage is full.
    """
    with pa.OSFile(str(path), "wb") as file:
        writer: pq.ParquetWriter | None = None
        for table, weights in groups:
            whole = _with_weights(table, weights, size, dtype)
            if writer is None:
                writer = _writer(file, whole.schema)
            file.write(b"\0" * (-(file.tell() + _header_bytes(len(table), size, dtype)) % ALIGNMENT))
            writer.write_table(whole, row_group_size=len(table))
        if writer is not None:
            writer.close()


def blocks_of(path: Path, size: int, dtype: str) -> list[Block]:
    """Where the weights are in a file. Raises `ValueError` if it cannot be mapped."""
    metadata = pq.read_metadata(path)
    blocks, item = [], DTYPES[dtype][0].itemsize
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        column = group.column(0)
        if column.path_in_schema != MATRIX or column.compression != "UNCOMPRESSED" or column.has_dictionary_page:
            raise ValueError("its first column is not that of plain, uncompressed weights")
        matrix = group.num_rows * size * item
        offset = column.data_page_offset + column.total_compressed_size - matrix
        if column.num_values != group.num_rows * size or offset < column.data_page_offset or offset % ALIGNMENT:
            raise ValueError(f"its weights are not rows of {size} aligned {dtype} numbers")
        blocks.append((offset, group.num_rows))
    return blocks


def read_columns(path: Path) -> pd.DataFrame:
    """The table without the weights, with the columns that are not written where they are null."""
    file = pq.ParquetFile(path)
    return with_added(file.read([name for name in file.schema_arrow.names if name != COLUMN])).to_pandas()


def _writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    others = [name for name in schema.names if name != COLUMN]
    return pq.ParquetWriter(
        file,
        schema,
        compression={MATRIX: "none"} | dict.fromkeys(others, "zstd"),
        use_dictionary=others,
        write_statistics=others,
        data_page_size=PAGE_BYTES,
    )


def _with_weights(table: pa.Table, weights: Tensor, size: int, dtype: str) -> pa.Table:
    """The table, with the weights as first column."""
    torch_type, arrow_type = DTYPES[dtype]
    if weights.abs().max() > torch.finfo(torch_type).max and weights.isfinite().all():
        raise InputError(f"weights of {weights.abs().max():.3g} are beyond {dtype}; choose float32 or bfloat16")
    bits = weights.to(torch_type).contiguous().flatten().view(torch.uint8).numpy()
    values = pa.Array.from_buffers(arrow_type, weights.numel(), [None, pa.py_buffer(bits)])
    element = pa.field("element", arrow_type, nullable=False)
    field = pa.field(COLUMN, pa.list_(element, size), nullable=False)
    column = pa.FixedSizeListArray.from_arrays(values, type=field.type)
    return pa.table([column, *table.columns], schema=pa.schema([field, *table.schema]))


@lru_cache(maxsize=16)
def _header_bytes(rows: int, size: int, dtype: str) -> int:
    """Bytes before the matrix in its column of a row group: they depend on its shape only."""
    item = DTYPES[dtype][0].itemsize
    whole = _with_weights(pa.table({}), torch.zeros(rows, size), size, dtype)
    buffer = pa.BufferOutputStream()
    with _writer(buffer, whole.schema) as writer:
        writer.write_table(whole, row_group_size=rows)
    column = pq.read_metadata(pa.BufferReader(buffer.getvalue())).row_group(0).column(0)
    return column.total_compressed_size - rows * size * item
