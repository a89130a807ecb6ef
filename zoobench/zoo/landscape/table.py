"""What was measured of a zoo's landscape, on disk: a file per cell, and a card that says how it was measured."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, files_in, read_json, write_json, written_aside
from zoo_generation.provenance import versions
from zoobench.zoo.parts import asked_at_once
from zoobench.zoo.schema import LANDSCAPE, MEASURED, conform

FOLDER = "landscape"
FORMAT_OF_CARD = "zoobench-landscape/1"
AGAIN = "remove it, and run 'zoobench zoo landscape' again"


def read_landscape(zoo: StoragePath) -> pd.DataFrame:
    """One row per measured checkpoint, with the columns `LANDSCAPE`, of all cells; none if nothing was measured.

    Raises `InputError` if a file is damaged.
    """
    if not (zoo / FOLDER).is_dir():
        return LANDSCAPE.empty_table().to_pandas()
    tables = asked_at_once(read_cell, files_in(zoo / FOLDER, "[!.]*.parquet"))
    found = pa.concat_tables([LANDSCAPE.empty_table(), *tables]).to_pandas()
    return found.drop_duplicates(["model_id", "epoch"], ignore_index=True)  # which a validation reports


def read_cell(file: StoragePath) -> pa.Table:
    """The rows of a file of `LANDSCAPE`. Raises `InputError` if it is damaged."""
    try:
        return conform(pq.read_table(io.BytesIO(file.read_bytes())), LANDSCAPE).select(LANDSCAPE.names)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the table {file} is damaged ({reason}); {AGAIN}") from None


def write_cell(zoo: StoragePath, name: str, rows: pd.DataFrame) -> None:
    """Store the rows of a cell, or of an import, as `landscape/<name>.parquet`; NaN becomes null."""
    columns = [pa.array(rows[field.name], field.type, from_pandas=True) for field in LANDSCAPE]
    with written_aside(zoo / FOLDER / f"{name}.parquet") as aside:
        pq.write_table(pa.table(columns, schema=LANDSCAPE), aside)


def read_card(zoo: StoragePath) -> dict[str, Any] | None:
    """The card of a landscape, None if there is none. Raises `InputError` if it is damaged."""
    file = zoo / FOLDER / "landscape.json"
    return read_json(file, "the card of the landscape") if file.exists() else None


def write_card(zoo: StoragePath, how: dict[str, Any]) -> None:
    """Write the card: how it was measured, and what each column means."""
    meanings = {field.name: field.metadata[b"meaning"].decode() for field in MEASURED}
    write_json(zoo / FOLDER / "landscape.json", {"format": FORMAT_OF_CARD, **how, "columns": meanings, **versions()})
