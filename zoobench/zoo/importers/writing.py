"""Gather imported models into parts of one population, and write them as they fill."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from zoobench.zoo.importers.building import Built
from zoobench.zoo.importers.found import Fault
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.sink import Part, ZooSink

MODELS = 64  # of a part, at most
ELEMENTS = 1 << 27  # weights that are gathered, at most, and those of one model: 512 MiB


@dataclass
class PartWriter:
    """Writes parts into a zoo, and counts what went in."""

    sink: ZooSink
    models: int = 0
    checkpoints: int = 0
    _ids: dict[str, str] = field(default_factory=dict)
    _gathered: dict[tuple[object, ...], list[Built]] = field(default_factory=dict)
    _elements: int = 0

    def add(self, model: Built) -> Fault | None:
        """Take a model in, and write what it fills; a second model of the same id is a fault."""
        model_id = model.row["model_id"]
        if model_id in self._ids:
            twin = f"{self._ids[model_id]:.200}, which came in"
            return Fault(model.name, None, f"its weights and measurements, and so its id, are that of {twin}")
        self._ids[model_id] = model.name
        key = (*(model.row[column] for column in POPULATION), model.layout)
        gathered = self._gathered.setdefault(key, [])
        gathered.append(model)
        self._elements += _elements(model)
        if self._elements >= ELEMENTS:
            self.flush()
        elif len(gathered) >= MODELS:
            self._write(self._gathered.pop(key))
        return None

    def flush(self) -> None:
        """Write what has gathered."""
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


def _elements(model: Built) -> int:
    return sum(weights.numel() for weights in model.weights)
