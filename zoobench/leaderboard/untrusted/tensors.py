"""Weights that were handed in: safetensors, whose header is checked before any of it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo_generation.text import quoted
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.files import kind_of
from zoobench.leaderboard.untrusted.refusal import Refused
from zoobench.populations import Population
from zoobench.tasks.reconstruction import Reconstruction

HEADER = 100_000
"""Bytes that a header may have, at most."""

LARGEST = 1e10
"""Beyond it, squares summed overflow: no model has such weights, and no property such values."""

ITEM = 4  # bytes of a float32
FIELDS = {"dtype", "shape", "data_offsets"}

Shapes = Mapping[str, tuple[range, int]]
"""By a tensor's name, how many rows it may have, and how many columns it has."""


def shapes_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> dict[str, tuple[range, int]]:
    """What is to be handed in: a tensor for each target and seed."""
    task = track.get_task()
    return {
        f"{target}/{seed}": (task.handed_in(references[target]), references[target].layout.size)
        for target in track.targets
        for seed in seeds
    }


def asked_for(track: Track, reference: Population) -> Population | None:
    """The checkpoints of a target that are handed in again, in the order of their names; none where new models are."""
    task = track.get_task()
    return task.chosen(reference) if isinstance(task, Reconstruction) else None


def as_judged(track: Track, reference: Population, handed_in: Tensor) -> Tensor:
    """Weights as they are handed in, in the order in which they are judged."""
    asked = asked_for(track, reference)
    return handed_in if asked is None else handed_in[asked.order[1]]


def as_handed_in(track: Track, reference: Population, judged: Tensor) -> Tensor:
    """Weights as they are judged, in the order in which they are handed in."""
    asked = asked_for(track, reference)
    return judged if asked is None else judged[asked.order[0]]


def most_weight_bytes(shapes: Shapes) -> int:
    """Bytes that a file of them has at most."""
    return 8 + HEADER + sum(ITEM * rows[-1] * size for rows, size in shapes.values())


def read_weights(name: str, content: bytes, shapes: Shapes) -> dict[str, Tensor]:
    """The tensors [models, D] by name, float32 and finite; raises `Refused`."""
    header, body = _header(name, content)
    if problems := list(_wrong(name, header, shapes, body)):
        raise Refused(problems)
    try:
        tensors = safetensors.torch.load(content)
    except Exception as error:  # libraries raise many things on hostile content
        raise Refused([f"{name} cannot be read as safetensors ({quoted(error, 200)})"]) from None
    if problems := [
        f"{name}: the weights '{key}' of model {int(fine.int().argmin())} are not finite, or beyond {LARGEST:g}"
        for key, tensor in sorted(tensors.items())
        if not bool((fine := (tensor.abs() <= LARGEST).all(1)).all())
    ]:
        raise Refused(problems)
    return tensors


def _header(name: str, content: bytes) -> tuple[dict[str, Any], int]:
    """What the header says of each tensor, and how many bytes follow it."""
    length = int.from_bytes(content[:8], "little")
    if kind_of(content) != "safetensors" or length > min(HEADER, len(content) - 8):
        what = "" if (kind := kind_of(content)) in ("something else", "safetensors") else f", but {kind}"
        raise Refused([
            f"{name} is no safetensors file with a header of at most {HEADER} bytes{what}; write it with safetensors"
        ])  # fmt: skip
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else quoted(error)
        raise Refused([f"{name} has a header that is damaged ({reason[:120]}); write it with safetensors"]) from None
    if not isinstance(header, dict):
        raise Refused([f"{name} has a header that is no JSON object; write it with safetensors"])
    header.pop("__metadata__", None)  # read by nobody; safetensors checks its form
    return header, len(content) - 8 - length


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) < len(pairs):
        raise ValueError("a name stands in it twice")
    return values


def _wrong(name: str, header: Mapping[str, Any], shapes: Shapes, body: int) -> Iterator[str]:
    """What is wrong with a header that `body` bytes follow, a sentence each."""
    for key in sorted(header.keys() - shapes.keys()):
        yield f"{name} holds weights '{quoted(key)}', and may hold only {_listed(shapes)}"
    for key in sorted(shapes.keys() - header.keys()):
        yield f"{name} lacks the weights '{key}' (target/seed)"
    spans = []
    for key in sorted(shapes.keys() & header.keys()):
        entry, (rows, columns) = header[key], shapes[key]
        if not isinstance(entry, dict) or entry.keys() != FIELDS:
            yield f"{name}: the header says of '{key}' not just {', '.join(sorted(FIELDS))}"
            continue
        if entry["dtype"] != "F32":
            yield f"{name}: the weights '{key}' are {quoted(entry['dtype'], 20)}, and must be F32 (float32)"
        shape = entry["shape"]
        if not _are_counts(shape) or shape[0] not in rows or shape[1] != columns:
            models = f"{rows[0]}" if len(rows) == 1 else f"{rows[0]} to {rows[-1]}"
            yield f"{name}: the weights '{key}' are {quoted(shape, 60)}, and must be [{models} models, {columns}]"
        elif not _are_counts(span := entry["data_offsets"]) or span[1] - span[0] != ITEM * shape[0] * shape[1]:
            yield f"{name}: the weights '{key}' do not lie where their shape says ({quoted(span, 60)})"
        else:
            spans.append(span)
    if len(spans) == len(header) == len(shapes):
        yield from _gaps(name, sorted(spans), body)


def _gaps(name: str, spans: Sequence[Sequence[int]], body: int) -> Iterator[str]:
    """Weights must follow one another to the end, so that every byte is one of theirs, and no byte of two."""
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1]:
        yield f"{name}: its weights overlap, or have gaps between them"
    elif ends[-1] != body:
        yield f"{name} has {body} bytes of weights, and its header says {ends[-1]}: it was cut short, or holds more"


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 2 and all(type(each) is int and each >= 0 for each in values)


def _listed(shapes: Shapes) -> str:
    names = list(shapes)
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
