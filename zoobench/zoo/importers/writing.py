"""Collect imported models in parts of one population, and write each part when it is full."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from zoobench.zoo.content import APART, id_apart
from zoobench.zoo.importers.building import Built
from zoobench.zoo.importers.found import Fault, Told
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.sink import Part, ZooSink

MODELS = 64  # of a part, at most
ELEMENTS = 1 << 27  # weights collected at most, and those of one model: 512 MiB


class Taken(NamedTuple):
    """What is kept of an imported model, with its columns `APART`."""

    name: str
    content: str
    columns: tuple[Any, ...]


@dataclass
class PartWriter:
    """Writes parts into a zoo, and counts the models."""

    sink: ZooSink
    models: int = 0
    checkpoints: int = 0
    _ids: dict[str, Taken] = field(default_factory=dict)
    _gathered: dict[tuple[object, ...], list[Built]] = field(default_factory=dict)
    _elements: int = 0

    def add(self, model: Built, told: list[Told]) -> list[Fault]:
        """Add a model, and write a part that it fills; the same model again is a fault.

        A model with the id of another, but other weights, measurements or columns, gets an id of its own, and a note.
        """
        if twin := self._ids.get(model.row["model_id"]):
            if model.content != twin.content:
                own, what = model.content, "its id is that of a model with other weights, so it has one of its own"
            else:
                pairs = zip(APART, _columns(model), twin.columns, strict=True)
                apart = ", ".join(name for name, mine, its in pairs if mine != its)
                own = id_apart(model.content, model.row) if apart else model.content
                what = f"its weights and measurements are those of another model, which differs in {apart}"
            if own in self._ids:
                reason = f"its weights and measurements are those of {self._ids[own].name:.200}, which came in"
                return [Fault(model.name, None, reason)]
            told.append(Told(what, f": {twin.name:.200}", model.name, lost=False))
            model = _with_id(model, own)
        self._ids[model.row["model_id"]] = Taken(model.name, model.content, _columns(model))
        key = (*(model.row[column] for column in POPULATION), model.layout)
        gathered = self._gathered.setdefault(key, [])
        gathered.append(model)
        self._elements += _elements(model)
        if self._elements >= ELEMENTS:
            self.flush()
        elif len(gathered) >= MODELS:
            self._write(self._gathered.pop(key))
        return []

    def flush(self) -> None:
        """Write the collected models."""
        while self._gathered:
            self._write(self._gathered.pop(next(iter(self._gathered))))

    def _write(self, models: list[Built]) -> None:
        weights = [each for model in models for each in model.weights]
        rows = [row for model in models for row in model.checkpoints]
        stacked = torch.stack(weights) if weights else None
        self.sink.write_part(Part([model.row for model in models], rows, stacked, models[0].layout))
        self.models += len(models)
        self.checkpoints += len(rows)
        self._elements -= sum(map(_elements, models))


def _columns(model: Built) -> tuple[Any, ...]:
    return tuple(model.row[name] for name in APART)


def _with_id(model: Built, model_id: str) -> Built:
    rows = [row | {"model_id": model_id} for row in model.checkpoints]
    return replace(model, row=model.row | {"model_id": model_id}, checkpoints=rows)


def _elements(model: Built) -> int:
    return sum(weights.numel() for weights in model.weights)
