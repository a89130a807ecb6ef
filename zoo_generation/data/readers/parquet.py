"""Read the Parquet export of an image dataset, as the Hugging Face Hub makes them."""

from __future__ import annotations

import bisect
import functools
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.readers.decode import decode
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import InputError

PREFIXES = {"train": ("train",), "val": ("validation", "valid", "val"), "test": ("test",)}
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")

Files = dict[str, list[Path]]


def find_parquet(folder: Path) -> Files | None:
    """The files of each split in `folder` or, as in a clone from the Hub, in one of its subfolders."""
    if not folder.is_dir():
        return None
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in (folder, folder / "data", *subfolders):
        files = {
            split: found
            for split, prefixes in PREFIXES.items()
            if (found := next(filter(None, (sorted(place.glob(f"{p}-*.parquet")) for p in prefixes)), None))
        }
        if "train" in files:
            return files
    return None


def read_parquet(files: Files, entry: DatasetEntry) -> ImageSource:
    """A source with the splits of an export; class names come from its `huggingface` metadata."""
    rows = {split: _rows(paths, entry) for split, paths in files.items()}
    with _readable(files["train"][0]) as file:
        schema = file.schema_arrow
        names = _class_names(schema.metadata, _column(schema.names, LABEL_COLUMNS, files["train"][0]))
    counted = max((int(split.labels.max()) for split in rows.values() if len(split.labels)), default=-1) + 1
    classes = names or entry.classes or tuple(str(label) for label in range(counted))
    return ImageSource(str(files["train"][0].parent), classes, **rows)


def _rows(paths: Sequence[Path], entry: DatasetEntry) -> ImageRows:
    _check_shards(paths)
    labels = [_labels(path) for path in paths]
    starts = [0, *itertools.accumulate(map(len, labels))]
    load = functools.cache(lambda: [_images(path) for path in paths])

    def read(rows: Tensor) -> Tensor:
        import pyarrow as pa

        chunks = [chunk for column in load() for chunk in column.chunks]
        column = pa.chunked_array(chunks, type=pa.binary())
        return decode(column.take(rows.numpy()).to_pylist(), entry.channels, entry.size, lambda i: told(int(rows[i])))

    def told(row: int) -> str:
        shard = bisect.bisect_right(starts, row) - 1
        return f"the image in row {row - starts[shard]} of {paths[shard]}"

    return ImageRows(torch.cat(labels), read)


def _labels(path: Path) -> Tensor:
    import pyarrow as pa

    with _readable(path) as file:
        name = _column(file.schema_arrow.names, LABEL_COLUMNS, path)
        column = file.read(columns=[name]).column(name)
        if not pa.types.is_integer(column.type) or column.null_count:
            raise InputError(f"column '{name}' of {path} must be whole numbers without gaps, it is {column.type}")
        return torch.from_numpy(column.to_numpy().astype("int64"))


def _images(path: Path) -> Any:
    """The encoded images: a chunked array of binaries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with _readable(path) as file:
        name = _column(file.schema_arrow.names, IMAGE_COLUMNS, path)
        column = file.read(columns=[name]).column(name)
        return (pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column).cast(pa.binary())


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    """An open `ParquetFile`; errors of Parquet inside the block become an `InputError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the Parquet file {path} cannot be read: {reason}") from None


def _column(names: Sequence[str], wanted: Sequence[str], path: Path) -> str:
    for name in wanted:
        if name in names:
            return name
    raise InputError(f"{path} has no column named {' or '.join(wanted)}, only {', '.join(names)}")


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _check_shards(paths: Sequence[Path]) -> None:
    """A split of which some files were not copied would pass for the whole."""
    said = re.search(r"-of-(\d+)", paths[0].name)
    if said and int(said[1]) != len(paths):
        raise InputError(f"{paths[0].parent} holds {len(paths)} of the {int(said[1])} files like {paths[0].name}")
