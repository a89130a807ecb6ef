"""What a Parquet file would take to decode, by the headers of its pages, which its footer does not repeat.

A page says itself how its values are encoded, how many there are, and how large it is unpacked, and readers believe it:
a page of a few bytes may claim gigabytes, whatever the footer says. So its headers are walked first.

Source: https://github.com/apache/parquet-format, parquet.thrift, whose numbers these are.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoobench.leaderboard.untrusted.parquet.footer import Chunk
from zoobench.leaderboard.untrusted.parquet.thrift import read_struct

DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # PageType
BODY = {DATA: 5, DICTIONARY: 7, DATA_V2: 8}  # the field of a page header that says more of such a page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}  # the field of that
ENCODINGS = {0, 2, 8}  # PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY: none that makes much of few bytes


def check_pages(content: bytes, chunks: Sequence[Chunk], most: int) -> None:
    """Raise `ValueError`, in a clause, unless the pages hold just as many values as their chunks have rows, in plain
    encodings, and at most `most` bytes when they are unpacked."""
    unpacked = 0
    for chunk in chunks:
        unpacked += _check_chunk(content, chunk, most)
        if unpacked > most:
            raise ValueError(f"its pages would take more than {most} bytes")


def _check_chunk(content: bytes, chunk: Chunk, most: int) -> int:
    """Walk the pages; bytes that they take."""
    offset, seen, unpacked = chunk.start, 0, 0
    while offset < chunk.end:
        header, offset = read_struct(content, offset, chunk.end)
        kind, size, packed = (header.get(field, -1) for field in (1, 2, 3))
        body = header.get(BODY.get(kind, -1))
        if not isinstance(body, dict) or size < 0 or packed < 0 or offset + packed > chunk.end:
            raise ValueError("a page has no header of a data page or a dictionary, or is longer than its column")
        if body.get(ENCODING[kind]) not in ENCODINGS:
            raise ValueError("a column is neither plain nor by a dictionary; write it with pandas' to_parquet")
        count = body.get(1, -1)
        if not 0 <= count <= chunk.rows or size > most:
            raise ValueError(f"a page claims {count} values in {size} bytes, of a column of {chunk.rows}")
        seen += count if kind != DICTIONARY else 0
        unpacked += size
        offset += packed
    if seen != chunk.rows:
        raise ValueError(f"a column's pages hold {seen} values, and it should have {chunk.rows}")
    return unpacked
