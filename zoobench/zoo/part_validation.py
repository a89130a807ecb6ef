"""Find everything that is wrong with one part of a zoo: its checksums, tables and weights."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open

from zoo_generation.data.part import DataPart
from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, local_copy, sha256_of
from zoo_generation.networks.architectures import Layout
from zoo_generation.text import shown
from zoo_generation.training.fields import Loss
from zoo_generation.training.sink import Status
from zoobench.zoo.parts import part_file
from zoobench.zoo.schema import SKILL, TABLES, conform, layout_of, skills_among, with_skills
from zoobench.zoo.sink import Part

BLOCK = 1 << 22  # weights checked at once
LINE = re.compile(r"([0-9a-f]{64})  (.+)")

Rule = tuple[Callable[[Any], Any], str]

POSITIVE: Rule = (lambda values: (values > 0) & np.isfinite(values), "must be above 0")
NOT_NEGATIVE: Rule = (lambda values: values >= 0, "may not be negative")
LOSS: Rule = (lambda values: ~(values < 0), "may not be negative")  # NaN if weights explode
FINITE: Rule = (np.isfinite, "must be finite")
SHARE: Rule = (lambda values: (values >= 0) & (values <= 1), "must lie in [0, 1]")
WITHIN: Rule = (lambda values: (values > 0) & (values < 1), "must lie between 0 and 1")
STATUS: Rule = (
    lambda values: np.isin(values.astype(str), get_args(Status)),
    f"must be one of {', '.join(get_args(Status))}",
)
DATA_PART: Rule = (
    lambda values: np.array([_is_part(value) for value in values], dtype=bool),
    "must be the text of a part, such as iid-0-of-2",
)
RULES: dict[str, dict[str, Rule]] = {
    "models": {
        "status": STATUS,
        "width": POSITIVE,
        "image_size": POSITIVE,
        "channels": POSITIVE,
        "classes": POSITIVE,
        "epochs": NOT_NEGATIVE,
        "data_part": DATA_PART,
        "subset_fraction": WITHIN,
        "subset_seed": NOT_NEGATIVE,
        "parent_epoch": NOT_NEGATIVE,
        "loss": (lambda values: np.isin(values.astype(str), get_args(Loss)), f"must be {' or '.join(get_args(Loss))}"),
        "momentum": (lambda values: (values >= 0) & (values < 1), "must be at least 0 and below 1"),
    },
    "checkpoints": {
        "epoch": NOT_NEGATIVE,
        **{f"{split}_loss": LOSS for split in ("train", "val", "test")},
        **{f"{split}_accuracy": SHARE for split in ("train", "val", "test")},
    },
}
"""The allowed values of a column beside null; the schema says which may be null."""


def _is_part(text: str) -> bool:
    try:
        return str(DataPart.read(text)) == text
    except InputError:
        return False


@dataclass(frozen=True)
class Problem:
    """A problem: the file, relative to the zoo, or the population, and what is wrong with it, as a clause."""

    check: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{shown(self.file)}: {self.what}"


@dataclass
class PartFindings:
    """The problems of a part; its tables and layout, None if they cannot be read; rows of weights that ran away."""

    part: str
    boundless: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    models: pd.DataFrame | None = None
    checkpoints: pd.DataFrame | None = None
    layout: Layout | None = None


@contextmanager
def told(problems: list[Problem], check: str, file: str) -> Iterator[None]:
    """Turn any exception in the block into a problem: libraries raise many things on hostile content."""
    try:
        yield
    except Exception as error:
        problems.append(Problem(check, file, _clause(error)))


def _clause(error: Exception) -> str:
    """An error as one clause, on one line."""
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    if isinstance(error, OSError):
        return f"it cannot be read ({shown(error.strerror or error)})"
    return shown(error) or type(error).__name__


def check_part(zoo: StoragePath, part: str) -> PartFindings:
    """Check everything in a part. A file that differs from its checksum is one problem, and is not read further."""
    findings = PartFindings(part)
    names = {folder: f"{folder}/{part_file(zoo, folder, part).name}" for folder in ("models", "checkpoints", "weights")}
    sums_name = f"checksums/{part_file(zoo, 'checksums', part).name}"
    sums: dict[str, str] | None = None
    with told(findings.problems, "checksums", sums_name):
        sums = _sums(read(zoo / sums_name), set(names.values()))
    for table, schema in TABLES.items():
        with told(findings.problems, "tables", names[table]):
            content = read(zoo / names[table])
            if _is_as_written(hashlib.sha256(content).hexdigest(), names[table], sums, findings):
                columns = _table(content, schema)
                setattr(findings, table, columns.to_pandas())
                findings.problems += [Problem("values", names[table], what) for what in _values(columns, table)]
    findings.problems += [Problem("values", names["models"], what) for what in _identity(findings)]
    findings.problems += [Problem("values", names["checkpoints"], what) for what in _references(findings)]
    rows = None if findings.checkpoints is None else len(findings.checkpoints)
    if rows != 0 or (zoo / names["weights"]).exists():
        with told(findings.problems, "weights", names["weights"]), _local(zoo / names["weights"]) as local:
            if _is_as_written(sha256_of(local), names["weights"], sums, findings):
                findings.layout = _weights(local, rows, findings.boundless)
    needed = set(names.values()) - ({names["weights"]} if rows == 0 else set())
    if sums is not None and (unnamed := needed - sums.keys()):
        what = f"it does not name {shown(' and '.join(sorted(unnamed)))}"
        findings.problems.append(Problem("checksums", sums_name, what))
    return findings


def read(file: StoragePath) -> bytes:
    """A file's content. Raises `FileNotFoundError` also for anything but a file, such as a pipe that never ends."""
    if not file.is_file():
        raise FileNotFoundError
    return bytes(file.read_bytes())


@contextmanager
def _local(file: StoragePath) -> Iterator[Any]:
    if not file.is_file():
        raise FileNotFoundError
    with local_copy(file) as local:
        yield local


def _sums(content: bytes, allowed: set[str]) -> dict[str, str]:
    """Digest by file; only files of the part may be named, so no path leads elsewhere."""
    text = content.decode("ascii", "backslashreplace")
    sums: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        match = LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is not 64 lower-case hexadecimal digits, two spaces and a path")
        digest, name = match.groups()
        if name not in allowed:
            raise ValueError(f"line {number} names '{shown(name)}', and may name only {', '.join(sorted(allowed))}")
        if name in sums:
            raise ValueError(f"it names {name} twice")
        sums[name] = digest
    if not text.endswith("\n"):
        raise ValueError("its last line does not end: it was cut short")
    return sums


def _is_as_written(digest: str, name: str, sums: dict[str, str] | None, findings: PartFindings) -> bool:
    """Whether a file's digest is the recorded one; also true if none is recorded, which is a separate problem."""
    if sums is None or sums.get(name, digest) == digest:
        return True
    what = "it is not what was written: its SHA-256 differs from that in the part's checksums"
    findings.problems.append(Problem("checksums", name, what))
    return False


def _table(content: bytes, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(content))
    except Exception as error:
        raise ValueError(f"it cannot be read as Parquet ({shown(error)})") from None
    schema = with_skills(schema, table.column_names)
    return conform(table, schema).select(schema.names)


def _values(table: pa.Table, name: str) -> Iterator[str]:
    strengths = skills_among(table.column_names)
    of_skills = dict.fromkeys(filter(SKILL.fullmatch, table.column_names), LOSS) | dict.fromkeys(strengths, FINITE)
    for column, (rule, words) in (RULES[name] | of_skills).items():
        valid = table[column].is_valid().to_numpy()
        values = table[column].to_numpy()
        rows = np.flatnonzero(valid)[~rule(values[valid])]
        if len(rows):
            more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
            yield f"'{column}' is '{shown(values[rows[0]])}' in row {rows[0]}{more}, and {words}"
    if name == "models":
        yield from _subsets(table)


def _subsets(table: pa.Table) -> Iterator[str]:
    """Rows that name a subset of the images by half."""
    fraction, seed = (table[name].is_null().to_pylist() for name in ("subset_fraction", "subset_seed"))
    for number, halves in enumerate(zip(fraction, seed, strict=True)):
        if halves[0] != halves[1]:
            yield f"row {number} has one of 'subset_fraction' and 'subset_seed', and must have both or neither"
            return


def _identity(findings: PartFindings) -> Iterator[str]:
    """Whether the part is named by its models, each of which is in it once."""
    if findings.models is None:
        return
    ids = findings.models["model_id"]
    if ids.duplicated().any():
        yield f"the model '{shown(ids[ids.duplicated()].iloc[0])}' stands in it twice"
    name = Part([{"model_id": each} for each in ids], [], None, None).name
    if name != findings.part:
        yield f"its part is named '{shown(findings.part)}', and must be named '{name}' by the ids of its models"


def _references(findings: PartFindings) -> Iterator[str]:
    """Whether each checkpoint is in it once, belongs to a model of the part, and has its own row of the weights."""
    if (checkpoints := findings.checkpoints) is None:
        return
    twice = checkpoints[checkpoints.duplicated(["model_id", "epoch"])]
    if len(twice):
        model, epoch = twice[["model_id", "epoch"]].iloc[0]
        yield f"the checkpoint of model '{shown(model)}' after epoch {epoch} stands in it twice"
    if findings.models is not None:
        unknown = checkpoints[~checkpoints["model_id"].isin(findings.models["model_id"])]
        if len(unknown):
            yield f"the model '{shown(unknown['model_id'].iloc[0])}' of a checkpoint is not in the models of the part"
    others = checkpoints[checkpoints["part"] != findings.part]
    if len(others):
        given, wanted = shown(others["part"].iloc[0]), shown(findings.part)
        yield f"'part' is '{given}' in row {others.index[0]}, and must be '{wanted}'"
    if sorted(checkpoints["row"]) != list(range(len(checkpoints))):
        yield f"'row' must hold each number from 0 to {len(checkpoints) - 1} once"


def _weights(file: Any, rows: int | None, boundless: list[int]) -> Layout:
    """The layout of a weights file of that many rows. Raises `ValueError` if anything does not fit, or is not finite.

    Rows whose sum of squares is beyond float32 are added to `boundless`.
    """
    try:
        opened = safe_open(file, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"it cannot be read as safetensors ({shown(error)})") from None
    with opened as content:
        if (names := sorted(content.keys())) != ["weights"]:
            raise ValueError(f"it must hold one tensor, 'weights', and holds {shown(names)}")
        tensor = content.get_slice("weights")
        if (dtype := tensor.get_dtype()) != "F32":
            raise ValueError(f"its weights are {dtype}, and must be F32 (float32)")
        layout = _layout(content.metadata())
        shape = tensor.get_shape()
        if len(shape) != 2 or shape != [shape[0] if rows is None else rows, layout.size]:
            wanted = f"[{'checkpoints' if rows is None else rows}, {layout.size}]"
            raise ValueError(f"its weights are {shape}, and must be {wanted}: checkpoints, size of the layout")
        _finite(tensor, shape[0], shape[1], boundless)
    return layout


def _layout(metadata: dict[str, str] | None) -> Layout:
    if "layout" not in (metadata or {}):
        raise ValueError("its metadata lack the layout")
    try:
        entries = json.loads((metadata or {})["layout"])
    except (ValueError, RecursionError):
        raise ValueError("its layout is not JSON") from None
    return layout_of(entries)


def _finite(tensor: Any, rows: int, size: int, boundless: list[int]) -> None:
    """Block by block: the file is mapped, and may be larger than memory."""
    step = max(1, BLOCK // max(1, size))
    for start in range(0, rows, step):
        weights = tensor[start : start + step]
        finite = torch.isfinite(weights).all(1)
        if not bool(finite.all()):
            raise ValueError(f"the weights of row {start + int(finite.int().argmin())} are not finite")
        boundless += (start + weights.square().sum(1).isinf().nonzero().flatten()).tolist()
