"""What a Parquet file would take to decode, by the headers of its pages, which its footer does not repeat.

A page says itself how its values are encoded, how many there are, and how large it is unpacked; a reader believes it. A
page of a few bytes may so claim gigabytes, whatever the footer says. So the headers are walked first. They are Thrift
structs in the compact protocol.

Source: https://github.com/apache/parquet-format (parquet.thrift), and Thrift's thrift-compact-protocol.md.
"""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # PageType
BODY = {DATA: 5, DICTIONARY: 7, DATA_V2: 8}  # the field of a page header that says more of such a page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}  # the field of that
ENCODINGS = {0, 2, 8}  # PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY: none that makes much of few bytes
TRUE, FALSE, I32, I64, BINARY, STRUCT = 1, 2, 5, 6, 8, 12  # types in the compact protocol
DEPTH = 3  # page header, data page header, statistics

Fields = dict[int, Any]


def check_pages(content: bytes, metadata: pq.FileMetaData, most: int) -> None:
    """Raise `ValueError`, in a clause, unless the pages hold just the rows of a flat table, in plain encodings, and at
    most `most` bytes when they are unpacked."""
    unpacked = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            unpacked += _check_chunk(content, group.column(place), group.num_rows, most)
            if unpacked > most:
                raise ValueError(f"its pages would take more than {most} bytes")


def _check_chunk(content: bytes, column: Any, rows: int, most: int) -> int:
    """Walk the pages of one column in one row group; bytes that they take."""
    if column.file_path or column.num_values != rows:
        raise ValueError("a column does not hold one value a row, in the file itself")
    offset = column.data_page_offset
    if column.dictionary_page_offset:  # as Arrow does
        offset = min(offset, column.dictionary_page_offset)
    end = offset + column.total_compressed_size
    if not 4 <= offset <= end <= len(content):
        raise ValueError("a column lies outside the file")
    seen = unpacked = 0
    while offset < end and seen < rows:
        header, offset = _struct(content, offset, end)
        kind, size, packed = (header.get(field, -1) for field in (1, 2, 3))
        body = header.get(BODY.get(kind, -1))
        if not isinstance(body, dict) or size < 0 or packed < 0 or offset + packed > end:
            raise ValueError("a page has no header of a data page or a dictionary, or is longer than its column")
        if body.get(ENCODING[kind]) not in ENCODINGS:
            raise ValueError("a column is neither plain nor by a dictionary; write it with pandas' to_parquet")
        count = body.get(1, -1)
        if not 0 <= count <= rows or size > most:
            raise ValueError(f"a page claims {count} values in {size} bytes, of a column of {rows}")
        seen += count if kind != DICTIONARY else 0
        unpacked += size
        offset += packed
    if seen != rows:
        raise ValueError(f"a column's pages hold {seen} values, and it should have {rows}")
    return unpacked


def _struct(content: bytes, offset: int, end: int, depth: int = 0) -> tuple[Fields, int]:
    """A struct's fields by number, and where it ends; numbers must rise, so that none stands twice."""
    if depth > DEPTH:
        raise ValueError("a page's header is nested too deeply")
    fields: Fields = {}
    number = 0
    while True:
        if offset >= end:
            raise ValueError("a page's header was cut short")
        byte = content[offset]
        offset += 1
        if not byte:
            return fields, offset
        kind = byte & 15
        if not byte >> 4:
            raise ValueError("a page's header has fields out of order")
        number += byte >> 4
        if kind in (TRUE, FALSE):
            fields[number] = kind == TRUE
        elif kind in (I32, I64):
            value, offset = _varint(content, offset, end)
            fields[number] = (value >> 1) ^ -(value & 1)
        elif kind == BINARY:
            length, offset = _varint(content, offset, end)
            offset += length
        elif kind == STRUCT:
            fields[number], offset = _struct(content, offset, end, depth + 1)
        else:
            raise ValueError("a page's header has a field of a type that it may not have")


def _varint(content: bytes, offset: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if offset >= end:
            raise ValueError("a page's header was cut short")
        byte = content[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
    raise ValueError("a page's header has a number without end")
