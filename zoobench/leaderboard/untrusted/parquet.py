"""Check a stranger's Parquet file against its own bytes before Arrow believes what it says.

Its footer says which columns it has and where they are. It is read here and not by pyarrow, which crashes on some
damaged footers. Each page then states its encoding, its number of values and its unpacked size, and readers believe it:
a page of a few bytes may claim gigabytes, whatever the footer says. So the headers of pages are checked first.

Source: https://github.com/apache/parquet-format, parquet.thrift, which defines the field numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo_generation.text import quoted
from zoobench.leaderboard.untrusted.thrift import Fields, read_struct

MARK = b"PAR1"
PHYSICAL = {2: "int64", 5: "double", 6: "string"}  # Type, of those that are asked for
UTF8, INT_64 = 0, 9  # ConvertedType
STRING, INTEGER = 1, 10  # LogicalType

DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # PageType
BODY = {DATA: 5, DICTIONARY: 7, DATA_V2: 8}  # the field of a page header with the details of such a page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}  # the field of the encoding in these
ENCODINGS = {0, 2, 8}  # PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY: none that expands few bytes to many


@dataclass(frozen=True)
class Chunk:
    """The place of a column in a row group: pages from `start` to `end`, in bytes of the file."""

    rows: int
    start: int
    end: int


def read_footer(content: bytes, columns: Mapping[str, str], rows: int, groups: int) -> list[Chunk]:
    """The column chunks of a flat file with exactly these columns and types (`int64`, `double`, `string`), that many
    rows, and at most that many row groups. Raises `ValueError`, with a clause, for any other."""
    size = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != MARK or not 0 < size <= len(content) - 12:
        raise ValueError("it was cut short, or is encrypted: it does not end as a Parquet file does")
    start = len(content) - 8 - size
    footer, end = read_struct(content, start, len(content) - 8)
    if end != len(content) - 8 or footer.keys() & {8, 9}:  # encryption
        raise ValueError("it has a footer that is damaged")
    names = _names(footer.get(2), columns)
    found = footer.get(4)
    if footer.get(3) != rows:
        raise ValueError(f"it has {footer.get(3)} rows, but must have {rows}")
    if not isinstance(found, list) or len(found) > groups:
        raise ValueError(f"it has more than {groups} row groups; write it with pandas' to_parquet")
    chunks = []
    for group in found:
        parts, count = group[1], group[3]
        if len(parts) != len(names) or count <= 0:
            raise ValueError("it has a row group of other columns, or without rows")
        for name, part in zip(names, parts, strict=True):
            chunks.append(_chunk(part, name, columns[name], count, start))
    if sum(chunk.rows for chunk in chunks) != rows * len(columns):
        raise ValueError("the rows of its row groups do not add up to its number of rows")
    return chunks


def _names(schema: Any, columns: Mapping[str, str]) -> list[str]:
    """Names of the columns, in order."""
    if not isinstance(schema, list) or not schema:
        raise ValueError("it has no columns")
    leaves = [each for each in schema[1:] if not each.get(5)]
    found = {quoted(each.get(4, b"").decode(errors="replace")): PHYSICAL.get(each.get(1), "other") for each in leaves}
    if found != dict(columns) or len(schema) != 1 + len(columns) or schema[0].get(5) != len(columns):
        wanted, given = (", ".join(f"{name} ({kind})" for name, kind in each.items()) for each in (columns, found))
        raise ValueError(f"its columns must be {wanted}; they are {given[:200]}")
    for name, each in zip(found, leaves, strict=True):
        logical = each.get(10, {})
        if found[name] == "string":
            is_plain = each.get(6) in (None, UTF8) and (STRING in logical or (not logical and each.get(6) == UTF8))
        else:
            is_plain = each.get(6) in (None, INT_64) and logical.keys() <= {INTEGER}
        if not is_plain or each.get(3) not in (0, 1):
            raise ValueError(f"its column '{name}' is not a plain column of type {columns[name]}")
    return list(found)


def _chunk(part: Fields, name: str, kind: str, rows: int, end: int) -> Chunk:
    """One column in a row group of a file whose footer begins at `end`."""
    column = part.get(3)
    if not isinstance(column, dict) or part.keys() & {1, 8, 9}:  # another file's, encrypted
        raise ValueError(f"its column '{name}' does not lie in the file itself")
    if column.get(3) != [name.encode()] or PHYSICAL.get(column.get(1, -1)) != kind or column.get(5) != rows:
        raise ValueError(f"its column '{name}' is not of type {kind}, one value per row, in a row group")
    start, size = column.get(9, -1), column.get(7, -1)
    if 0 < column.get(11, 0) < start:  # a dictionary, before the data
        start = column[11]
    if not len(MARK) <= start <= start + size <= end:
        raise ValueError(f"its column '{name}' does not lie in the file itself")
    return Chunk(rows, start, start + size)


def check_pages(content: bytes, chunks: Sequence[Chunk], most: int) -> None:
    """Raise `ValueError`, with a clause, unless the pages hold exactly one value per row of their chunks, in plain
    encodings, and at most `most` bytes when unpacked."""
    unpacked = 0
    for chunk in chunks:
        unpacked += _check_chunk(content, chunk, most)
        if unpacked > most:
            raise ValueError(f"its pages would take more than {most} bytes")


def _check_chunk(content: bytes, chunk: Chunk, most: int) -> int:
    """Walk the pages. Returns their size in bytes."""
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
        raise ValueError(f"a column's pages hold {seen} values, but should hold {chunk.rows}")
    return unpacked
