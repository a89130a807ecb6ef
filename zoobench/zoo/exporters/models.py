"""The models of a zoo, for exporters."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.text import shown
from zoobench.zoo.content import IDS, content_id
from zoobench.zoo.parts import AGAIN, DamagedPartError, read_arrow_table
from zoobench.zoo.schema import POPULATION, TABLES
from zoobench.zoo.sink import Row
from zoobench.zoo.store import Zoo


@dataclass(frozen=True)
class ExportedModel:
    """A model's row, its checkpoints' rows by epoch, their weights [checkpoints, D], and the layout of these.

    A model without checkpoints has neither weights nor layout.
    """

    row: Row
    checkpoints: list[Row]
    weights: Tensor | None
    layout: Layout | None

    @property
    def content(self) -> str:
        """The id of the model's content; see `content_id`."""
        return content_id(self.row, self.checkpoints, self.weights, self.layout)

    @property
    def recorded_row(self) -> Row:
        """The row, and the id of its content: an importer keeps the model's id only if the content is the same."""
        return self.row | {IDS: self.content}

    @property
    def states(self) -> Iterator[tuple[Row, dict[str, Tensor]]]:
        """Each checkpoint's row and its state dict, with tensors of their own."""
        if self.weights is not None and self.layout is not None:
            for row, flat in zip(self.checkpoints, self.weights, strict=True):
                yield row, {name: value.clone() for name, value in self.layout.unflatten(flat).items()}


def exported_models(zoo: Zoo) -> Iterator[ExportedModel]:
    """All models, population by population, one part in memory at a time. Raises `InputError` if one is damaged."""
    for (*_, part), models in zoo.models.groupby([*POPULATION, "part"], sort=False, dropna=False):
        ids = set(models["model_id"])
        rows = _rows_of(zoo, "models", str(part), ids)
        checkpoints = sorted(_rows_of(zoo, "checkpoints", str(part), ids), key=lambda row: row["epoch"])
        _check_once(zoo, str(part), [(row["model_id"],) for row in rows])
        _check_once(zoo, str(part), [(row["model_id"], row["epoch"]) for row in checkpoints])
        weights, layout = zoo.weights(pd.DataFrame(checkpoints)) if checkpoints else (None, None)
        places = defaultdict(list)
        for place, checkpoint in enumerate(checkpoints):
            places[checkpoint["model_id"]].append(place)
        for row in rows:
            mine = places[row["model_id"]]
            flat = weights[mine] if weights is not None and mine else None
            yield ExportedModel(row, [checkpoints[place] for place in mine], flat, layout if mine else None)


def _rows_of(zoo: Zoo, table: str, part: str, ids: Set[str]) -> list[Row]:
    """The rows of these models, without columns outside the schema."""
    content = read_arrow_table(zoo.path, table, part).select(TABLES[table].names)
    return [row for row in content.to_pylist() if row["model_id"] in ids]


def _check_once(zoo: Zoo, part: str, keys: list[tuple[object, ...]]) -> None:
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DamagedPartError(
            f"the tables of part {part} of {zoo.path} are damaged: {shown(' after epoch '.join(map(str, twice)))} "
            f"stands in them twice; {AGAIN}"
        )


def folder_for(parent: Path, name: str) -> Path:
    """Make the folder of a model under its name in a zoo's tables.

    Raises `InputError` for a name that would leave the parent, that is not possible for a file, or that exists already.
    """
    usable = name and not name.startswith(".") and not set(name) & set("/\\\0") and name.isprintable()
    if not usable or len(os.fsencode(name)) > 255:
        raise InputError(f"the zoo names a model {name!r:.200}, which cannot be a folder's name; correct its tables")
    folder = parent / name
    if folder.exists():
        raise InputError(f"the zoo names a model {name!r}, and the export already holds something of that name")
    folder.mkdir()
    return folder


def write_plain_json(file: Path, content: Any) -> None:
    """JSON in one line, as Ray Tune writes it, into a folder that is written aside."""
    file.write_text(json.dumps(content))
