"""Structs in Thrift's compact protocol, with which Parquet's footers and pages begin, read as strictly as possible.

Source: https://github.com/apache/thrift, doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 8, 9, 12
DEPTH = 8  # of structs and lists in one another; a footer has six
LENGTH = 10_000  # of a list, at most

Fields = dict[int, Any]


def read_struct(content: bytes, offset: int, end: int, depth: int = 0) -> tuple[Fields, int]:
    """A struct's fields by number, and where it ends, before `end`. Raises `ValueError` with a clause.

    Numbers must rise, so that a field cannot occur twice with two meanings.
    """
    fields: Fields = {}
    number = 0
    while (byte := _byte(content, offset, end)) != 0:
        offset += 1
        if not byte >> 4:
            raise ValueError("a header of it has fields out of order")
        number += byte >> 4
        if byte & 15 in (TRUE, FALSE):
            fields[number] = byte & 15 == TRUE
        else:
            fields[number], offset = _value(content, offset, end, byte & 15, depth + 1)
    return fields, offset + 1


def _value(content: bytes, offset: int, end: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH:
        raise ValueError("a header of it is nested too deeply")
    if kind in (TRUE, FALSE, BYTE):
        return _byte(content, offset, end), offset + 1
    if kind in (I16, I32, I64):
        value, offset = _varint(content, offset, end)
        return (value >> 1) ^ -(value & 1), offset
    if kind == BINARY:
        length, offset = _varint(content, offset, end)
        if length > end - offset:
            raise ValueError("a header of it was cut short")
        return content[offset : offset + length], offset + length
    if kind == STRUCT:
        return read_struct(content, offset, end, depth)
    if kind != LIST:
        raise ValueError("a header of it has a field of a forbidden type")
    byte, offset = _byte(content, offset, end), offset + 1
    length = byte >> 4
    if length == 15:
        length, offset = _varint(content, offset, end)
    if length > LENGTH:
        raise ValueError(f"a header of it has a list of {length} entries, but may have {LENGTH}")
    values = []
    for _ in range(length):
        value, offset = _value(content, offset, end, byte & 15, depth + 1)
        values.append(value)
    return values, offset


def _byte(content: bytes, offset: int, end: int) -> int:
    if offset >= end:
        raise ValueError("a header of it was cut short")
    return content[offset]


def _varint(content: bytes, offset: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = _byte(content, offset, end)
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
    raise ValueError("a header of it has a number without end")
