"""Untrusted tensors: safetensors files, whose header is checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo_generation.text import quoted
from zoobench.leaderboard.untrusted.files import Refused, kind_of

HEADER = 100_000
"""Largest header in bytes."""

LARGEST = 1e10
"""Beyond it, sums of squares overflow: no honest submission has such values."""

ITEM = 4  # bytes of a float32
FIELDS = {"dtype", "shape", "data_offsets"}

Shapes = Mapping[str, tuple[range, int]]
"""By a tensor's name, the allowed numbers of rows, and the number of columns."""


def most_tensor_bytes(shapes: Shapes) -> int:
    """The largest file size in bytes."""
    return 8 + HEADER + sum(ITEM * rows[-1] * size for rows, size in shapes.values())


def read_tensors(name: str, content: bytes, shapes: Shapes) -> dict[str, Tensor]:
    """The tensors [rows, columns] by name, float32 and finite. Raises `Refused`."""
    header, body = _header(name, content)
    if problems := list(_wrong(name, header, shapes, body)):
        raise Refused(problems)
    try:
        tensors = safetensors.torch.load(content)
    except Exception as error:  # libraries raise many things on hostile content
        raise Refused([f"{name} cannot be read as safetensors ({quoted(error, 200)})"]) from None
    if problems := [
        f"{name}: the tensor '{key}' is not finite in row {int(fine.int().argmin())}, or is beyond {LARGEST:g}"
        for key, tensor in sorted(tensors.items())
        if not bool((fine := (tensor.abs() <= LARGEST).all(1)).all())
    ]:
        raise Refused(problems)
    return tensors


def _header(name: str, content: bytes) -> tuple[dict[str, Any], int]:
    """The header's record of each tensor, and the number of bytes that follow it."""
    length = int.from_bytes(content[:8], "little")
    if kind_of(content) != "safetensors" or length > min(HEADER, len(content) - 8):
        what = "" if (kind := kind_of(content)) in ("something else", "safetensors") else f", but {kind}"
        raise Refused([
            f"{name} is not a safetensors file with a header of at most {HEADER} bytes{what}; write it with safetensors"
        ])  # fmt: skip
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else quoted(error)
        raise Refused([f"{name} has a damaged header ({reason[:120]}); write it with safetensors"]) from None
    if not isinstance(header, dict):
        raise Refused([f"{name} has a header that is not a JSON object; write it with safetensors"])
    header.pop("__metadata__", None)  # not read here; safetensors checks its form
    return header, len(content) - 8 - length


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) < len(pairs):
        raise ValueError("a name is in it twice")
    return values


def _wrong(name: str, header: Mapping[str, Any], shapes: Shapes, body: int) -> Iterator[str]:
    """The problems of a header that `body` bytes follow, one sentence each."""
    for key in sorted(header.keys() - shapes.keys()):
        yield f"{name} holds a tensor '{quoted(key)}', but may hold only {_listed(shapes)}"
    for key in sorted(shapes.keys() - header.keys()):
        yield f"{name} lacks the tensor '{key}'"
    spans = []
    for key in sorted(shapes.keys() & header.keys()):
        entry, (rows, columns) = header[key], shapes[key]
        if not isinstance(entry, dict) or entry.keys() != FIELDS:
            yield f"{name}: the header of '{key}' must have exactly {', '.join(sorted(FIELDS))}"
            continue
        if entry["dtype"] != "F32":
            yield f"{name}: the tensor '{key}' is {quoted(entry['dtype'], 20)}, but must be F32 (float32)"
        shape = entry["shape"]
        if not _are_counts(shape) or shape[0] not in rows or shape[1] != columns:
            count = f"{rows[0]}" if len(rows) == 1 else f"{rows[0]} to {rows[-1]}"
            yield f"{name}: the tensor '{key}' is {quoted(shape, 60)}, but must be [{count}, {columns}]"
        elif not _are_counts(span := entry["data_offsets"]) or span[1] - span[0] != ITEM * shape[0] * shape[1]:
            yield f"{name}: the tensor '{key}' is not where its shape says ({quoted(span, 60)})"
        else:
            spans.append(span)
    if len(spans) == len(header) == len(shapes):
        yield from _gaps(name, sorted(spans), body)


def _gaps(name: str, spans: Sequence[Sequence[int]], body: int) -> Iterator[str]:
    """Tensors must follow one another to the end, so that every byte belongs to exactly one."""
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1]:
        yield f"{name}: its tensors overlap, or have gaps between them"
    elif ends[-1] != body:
        yield f"{name} has {body} bytes of tensors, but its header says {ends[-1]}: it was cut short, or holds more"


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 2 and all(type(each) is int and each >= 0 for each in values)


def _listed(shapes: Shapes) -> str:
    names = list(shapes)
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
