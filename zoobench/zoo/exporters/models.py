"""The models of a zoo, as exporters take them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from zoo_generation.architectures import Layout
from zoo_generation.errors import InputError
from zoobench.zoo.parts import read_arrow_table
from zoobench.zoo.schema import MODELS
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
    def states(self) -> Iterator[tuple[Row, dict[str, Tensor]]]:
        """Each checkpoint's row and its state dict, of tensors of their own."""
        if self.weights is not None and self.layout is not None:
            for row, flat in zip(self.checkpoints, self.weights, strict=True):
                yield row, {name: value.clone() for name, value in self.layout.unflatten(flat).items()}


def exported_models(zoo: Zoo) -> Iterator[ExportedModel]:
    """All models, part by part; raises `InputError` where a part is damaged."""
    for part, models in zoo.models.groupby("part", sort=False):
        ids = set(models["model_id"])
        rows = read_arrow_table(zoo.path, "models", str(part)).select(MODELS.names).to_pylist()
        checkpoints = read_arrow_table(zoo.path, "checkpoints", str(part)).to_pylist()
        checkpoints.sort(key=lambda row: row["epoch"])
        weights, layout = zoo.weights(pd.DataFrame(checkpoints)) if checkpoints else (None, None)
        places = defaultdict(list)
        for place, checkpoint in enumerate(checkpoints):
            places[checkpoint["model_id"]].append(place)
        for row in rows:
            if row["model_id"] in ids:
                mine = places[row["model_id"]]
                flat = weights[mine] if weights is not None and mine else None
                yield ExportedModel(row, [checkpoints[place] for place in mine], flat, layout if mine else None)


def folder_for(parent: Path, name: str) -> Path:
    """Make the folder of a model, named by what a zoo's tables say.

    Raises `InputError` for a name that would leave the parent, that no file can have, or that another model has.
    """
    usable = name and not name.startswith(".") and not set(name) & set("/\\\0") and name.isprintable()
    if not usable or len(os.fsencode(name)) > 255:
        raise InputError(f"the zoo names a model {name!r:.200}, which cannot be a folder's name; correct its tables")
    folder = parent / name
    if folder.exists():
        raise InputError(f"the zoo names two models {name!r}, and their folders cannot be told apart")
    folder.mkdir()
    return folder


def write_plain_json(file: Path, content: Any) -> None:
    """JSON in one line, as Ray Tune writes it, into a folder that is written aside."""
    file.write_text(json.dumps(content))
