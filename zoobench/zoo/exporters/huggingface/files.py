"""The Parquet files of a dataset's population: one row per checkpoint, with its model's columns and its weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.zoo.exporters.models import ExportedModel, write_plain_json
from zoobench.zoo.schema import JOINED, entries_of
from zoobench.zoo.sink import Row

WEIGHTS = "weights"
GROUP_BYTES = 64 * 2**20  # of weights in a row group, unless one row has more


def write_population(folder: Path, models: Iterable[ExportedModel], splits: dict[str, str]) -> int:
    """Write `<split>.parquet` for each split with checkpoints, and `layout.json`. Returns the number of weights.

    If no model has a checkpoint, writes nothing and returns 0. Raises `InputError` if layouts differ.
    """
    layout: Layout | None = None
    writers: dict[str, SplitWriter] = {}
    with ExitStack() as files:
        for model in models:
            if model.weights is None or model.layout is None:
                continue
            if layout is None:
                layout = model.layout
                folder.mkdir(parents=True)
                write_plain_json(folder / "layout.json", entries_of(layout))
            if model.layout != layout:
                raise InputError(f"models of {folder.name} have different layers; look with 'zoobench zoo validate'")
            split = splits[model.row["model_id"]]
            if split not in writers:
                writers[split] = files.enter_context(SplitWriter(folder / f"{split}.parquet", layout))
            writers[split].add([model.row | checkpoint for checkpoint in model.checkpoints], model.weights)
    return layout.size if layout else 0


class SplitWriter:
    """A Parquet file that models are added to; row groups are written as they fill."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._weights = pa.field(
            WEIGHTS, pa.list_(pa.float32(), layout.size), False, {"meaning": "The state dict, flat; see layout.json."}
        )
        self._schema = pa.schema([*JOINED, self._weights], {"layout": json.dumps(entries_of(layout))})
        self._rows_per_group = max(1, GROUP_BYTES // (4 * max(1, layout.size)))
        self._rows: list[Row] = []
        self._flat: list[Tensor] = []
        names = [field.name for field in JOINED]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression=dict.fromkeys(names, "zstd"),  # weights hardly compress
            use_dictionary=names,
            write_statistics=names,
        )

    def add(self, rows: list[Row], weights: Tensor) -> None:
        """Checkpoints' rows, and their weights [rows, D]."""
        self._rows += rows
        self._flat.append(weights)
        if len(self._rows) >= self._rows_per_group:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = pa.Table.from_pylist(self._rows, pa.schema(JOINED)).columns
            flat = pa.array(torch.cat(self._flat).flatten().numpy())
            weights = pa.FixedSizeListArray.from_arrays(flat, type=self._weights.type)
            table = pa.table([*columns, weights], schema=self._schema)
            self._writer.write_table(table, row_group_size=self._rows_per_group)
        self._rows, self._flat = [], []

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()
