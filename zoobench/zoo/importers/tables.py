"""Read rows of tables written by people and spreadsheets: CSV in its dialects, Parquet, JSON, JSON lines."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.zoo.importers.columns import column_named, spelled
from zoobench.zoo.importers.files import RejectedError, read_inside
from zoobench.zoo.importers.found import Told, line_of, shown_name
from zoobench.zoo.importers.measured import key_of
from zoobench.zoo.importers.values import clean
from zoobench.zoo.schema import MODELS
from zoobench.zoo.sink import Row

CELLS = (".csv", ".tsv")
SUFFIXES = (*CELLS, ".parquet", ".json", ".jsonl")
DELIMITERS = ",;\t|"
TEXTS = {field.name for field in MODELS if pa.types.is_string(field.type)}
KEYS = {"file", "path", "epoch", "model"}  # beside the columns of our tables
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+(e[+-]?\d+)?\s*%?", re.IGNORECASE)
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")


@dataclass
class TableRows:
    """The rows of a table, with an empty one for anything that is not a row, and notes on them."""

    rows: list[Row]
    told: list[Told] = field(default_factory=list)


def read_rows(path: Path, is_header: Callable[[Sequence[str]], bool]) -> TableRows:
    """The rows of a table; None if it cannot be read as one. `is_header` decides the delimiter of CSV."""
    try:
        content = read_inside(path)
        if path.suffix == ".parquet":
            return TableRows(pq.read_table(io.BytesIO(content)).to_pylist())
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
        if path.suffix in CELLS:
            return _of_csv(text, shown_name(path), is_header)
        rows = (
            [line_of(line) for line in text.split("\n") if line.strip()]
            if path.suffix == ".jsonl"
            else json.loads(text)
        )
    except (RejectedError, OSError, ValueError, OverflowError, RecursionError, csv.Error, pa.ArrowException):
        return TableRows([])
    return TableRows([row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else [])


def canonical(key: str) -> str:
    """The column's name for a header, however it is spelled: ours, or the header itself."""
    found = spelled(key)
    return found if found in KEYS else column_named(key) or key


def _of_csv(text: str, table: str, is_header: Callable[[Sequence[str]], bool]) -> TableRows:
    for delimiter in DELIMITERS:
        cells = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(map(str.strip, row))]
        if cells and is_header(cells[0]):
            header = [clean(name) for name in cells[0]]
            return _numbered(_of_cells(header, cells[1:], table))
    return TableRows([])


def _of_cells(header: list[str], cells: list[list[str]], table: str) -> TableRows:
    """Rows by the header; if a name occurs twice in it, only values that agree count."""
    result = TableRows([])
    for number, row in enumerate(cells, 1):
        if any(map(str.strip, row[len(header) :])):
            what = f"rows of {table} have more cells than the header, and were left out"
            result.told.append(Told(what, f": row {number}", table))
            continue
        if len(row) < len(header):
            what = f"rows of {table} have fewer cells than the header; what they lack is null"
            result.told.append(Told(what, f": row {number}", table, lost=False))
        result.rows.append(dict(zip(header, row, strict=False)) | dict.fromkeys(header[len(row) :]))
    named: dict[str, list[int]] = {}
    for place, name in enumerate(header):
        metric = key_of(name)
        named.setdefault(canonical(name) if metric is None else repr(metric), []).append(place)
    for places in named.values():
        if len(places) > 1 and any(len({row[place] for place in places if place < len(row)}) > 1 for row in cells):
            what = f"{table} has several columns {header[places[0]]!r:.60} that differ, and none of them was taken"
            result.told.append(Told(what, "", table))
            for kept in result.rows:
                for place in places:
                    kept.pop(header[place], None)
    return result


def _numbered(result: TableRows) -> TableRows:
    """Numbers with commas as Python writes them, if a column shows their meaning; otherwise a note."""
    names = [name for name in (result.rows[0] if result.rows else ()) if _is_of_numbers(name)]
    texts = {name: [row[name].strip() for row in result.rows if isinstance(row.get(name), str)] for name in names}
    commas = {name: [text for text in texts[name] if "," in text] for name in names}
    decimal = any(
        COMMA.fullmatch(text) and not THOUSANDS.fullmatch(text) for found in commas.values() for text in found
    )
    for name, found in commas.items():
        if decimal and (_counts(name) or (found and all(COMMA.fullmatch(text) for text in found))):
            thousands, point = ".", ","
        elif not decimal and _counts(name):
            thousands, point = ",", "."
        else:
            continue  # its content is noted when it is used
        for row in result.rows:
            if isinstance(row.get(name), str):
                row[name] = _plain(row[name].strip(), thousands, point)
    return result


def _plain(text: str, thousands: str, point: str) -> str:
    """A number as Python writes it; text that is not a number stays."""
    grouped = text.replace(thousands, "\0").replace(point, ".").replace("\0", ",")
    if THOUSANDS.fullmatch(grouped):
        return grouped.replace(",", "")
    return text.replace(point, ".") if point == "," else text


def _is_of_numbers(name: str) -> bool:
    column = canonical(name)
    return column == "epoch" or key_of(name) is not None or (column in MODELS.names and column not in TEXTS)


def _counts(name: str) -> bool:
    """Whether a column holds whole numbers, where a comma can only separate thousands."""
    column = canonical(name)
    return column == "epoch" or (column in MODELS.names and pa.types.is_integer(MODELS.field(column).type))
