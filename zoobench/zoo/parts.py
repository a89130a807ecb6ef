"""The parts of a zoo: read their tables, and find damaged ones.

A part is what one worker wrote at once: its models, their checkpoints, and the weights of those.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, files_in, known_sha256
from zoobench.zoo.schema import TABLES, conform, with_skills

READERS = 16  # threads
FOLDERS = ("models", "checkpoints", "checksums", "weights")
"""A part is removed in this order and written in the reverse one: it counts as long as its models file exists."""
SUFFIXES = {"models": "parquet", "checkpoints": "parquet", "checksums": "sha256", "weights": "safetensors"}
AGAIN = "run the zoo's 'zoobench build-zoo' command again, which trains these models again"

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class DamagedPartError(InputError):
    """A file of a part is missing, cut short, or does not fit the others."""


def part_names(zoo: StoragePath) -> list[str]:
    """The parts whose models file, which is written last, exists."""
    return [file.stem for file in files_in(zoo / "models", "*.parquet")]


def part_file(zoo: StoragePath, folder: str, part: str) -> StoragePath:
    """A part's file in one of the `FOLDERS`."""
    return zoo / folder / f"{part}.{SUFFIXES[folder]}"


def asked_at_once(ask: Callable[[Question], Answer], questions: Sequence[Question]) -> list[Answer]:
    """The answers of `ask` to the questions, in order; many are asked at once, because storage may be far away."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(ask, questions))


def read_table(zoo: StoragePath, table: str, part: str) -> pd.DataFrame:
    """A part's rows of a table. Raises `DamagedPartError`, or another `InputError` if it cannot be read now."""
    return read_arrow_table(zoo, table, part).to_pandas()


def read_arrow_table(zoo: StoragePath, table: str, part: str) -> pa.Table:
    """As `read_table`, in Arrow, which distinguishes nulls from NaN and allows nulls among integers."""
    file = part_file(zoo, table, part)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise DamagedPartError(f"the table {file} is damaged: it is missing; {AGAIN}") from None
    except OSError as error:
        raise InputError(f"cannot read the table {file} ({error.strerror or error}); look at the storage") from None
    try:
        found = pq.read_table(io.BytesIO(content))
        return conform(found, with_skills(TABLES[table], found.column_names))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise DamagedPartError(f"the table {file} is damaged ({reason}); {AGAIN}") from None


def recorded_sums(zoo: StoragePath, part: str) -> dict[str, str]:
    """SHA-256 of a part's files when they were written, by path in the zoo; empty for a part without checksums."""
    try:
        lines = part_file(zoo, "checksums", part).read_text().splitlines()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        lines = []
    except OSError as error:
        raise InputError(
            f"cannot read the checksums of {zoo} ({error.strerror or error}); look at the storage"
        ) from None
    return {file: digest for digest, _, file in (line.partition("  ") for line in lines)}


def models_of(zoo: StoragePath, part: str) -> set[str]:
    """Ids of a part's models. Raises `DamagedPartError` unless the whole part is intact.

    Checksums are compared on this machine only: from a remote store, all weights would have to be downloaded.
    """
    models = set(read_table(zoo, "models", part)["model_id"])
    checkpoints = read_table(zoo, "checkpoints", part)
    if isinstance(zoo, Path):
        _check_sums(zoo, part, ("models", "checkpoints", "weights") if len(checkpoints) else ("models", "checkpoints"))
    if len(checkpoints):
        file = part_file(zoo, "weights", part)
        rows = _weights_rows(file)
        if rows != len(checkpoints) or not models.issuperset(checkpoints["model_id"]):
            raise DamagedPartError(f"the weights {file} are damaged: they do not fit their tables; {AGAIN}")
    return models


def _check_sums(zoo: Path, part: str, folders: Iterable[str]) -> None:
    """Raise `DamagedPartError` if a file in these folders differs from its checksum."""
    files = {folder: part_file(zoo, folder, part).name for folder in folders}
    try:
        sums = {f"{folder}/{name}": known_sha256(zoo / folder / name) for folder, name in files.items()}
    except FileNotFoundError as error:
        raise DamagedPartError(f"{error.filename} is missing; {AGAIN}") from None
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror or error}); look at the storage") from None
    recorded = recorded_sums(zoo, part)
    for file, digest in sums.items():
        if recorded.get(file) != digest:
            raise DamagedPartError(f"{zoo / file} is damaged: it is not what was written; {AGAIN}")
    if len(recorded) > len(sums):
        raise DamagedPartError(f"{part_file(zoo, 'checksums', part)} is damaged: it names other files; {AGAIN}")


def _weights_rows(file: StoragePath) -> int:
    """Rows of a safetensors file whose size matches its header; only the header is read."""
    try:
        with file.open("rb") as content:
            size = content.seek(0, io.SEEK_END)
            content.seek(0)
            (length,) = struct.unpack("<Q", content.read(8))
            weights = json.loads(content.read(min(length, size)))["weights"]
            if size != 8 + length + weights["data_offsets"][1]:
                raise ValueError(f"it has {size} bytes, but another size in its header")
            return int(weights["shape"][0])
    except FileNotFoundError:
        raise DamagedPartError(f"the weights {file} are damaged: they are missing; {AGAIN}") from None
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise DamagedPartError(f"the weights {file} are damaged ({error}); {AGAIN}") from None
    except OSError as error:
        raise InputError(f"cannot read the weights {file} ({error.strerror or error}); look at the storage") from None
