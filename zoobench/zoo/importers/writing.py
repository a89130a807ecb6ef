"""Gather imported models into parts of one population, and write them as they fill."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from zoobench.zoo.importers.building import Built
from zoobench.zoo.importers.found import Fault
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.sink import Part, ZooSink

MODELS = 64  # of a part, at most
ELEMENTS = 1 << 27  # weights that fill a part: 512 MiB


@dataclass
class PartWriter:
    """Writes parts into a zoo, and counts what went in."""

    sink: ZooSink
    models: int = 0
    checkpoints: int = 0
    _ids: dict[str, str] = field(default_factory=dict)
    _gathered: dict[tuple[object, ...], list[Built]] = field(default_factory=dict)

    def add(self, model: Built) -> Fault | None:
        """Take a model in, and write the part that it fills; a second model of the same id is a fault."""
        model_id = model.row["model_id"]
        if model_id in self._ids:
            return Fault(model.name, None, f"its model_id {model_id} is that of {self._ids[model_id]} too")
        self._ids[model_id] = model.name
        key = (*(model.row[column] for column in POPULATION), model.layout)
        gathered = self._gathered.setdefault(key, [])
        gathered.append(model)
        if len(gathered) >= MODELS or sum(len(each.weights) * _size(each) for each in gathered) >= ELEMENTS:
            self._write(self._gathered.pop(key))
        return None

    def flush(self) -> None:
        """Write what has gathered."""
        for models in self._gathered.values():
            self._write(models)
        self._gathered.clear()

    def _write(self, models: list[Built]) -> None:
        weights = [each for model in models for each in model.weights]
        rows = [row for model in models for row in model.checkpoints]
        stacked = torch.stack(weights) if weights else None
        self.sink.write_part(Part([model.row for model in models], rows, stacked, models[0].layout))
        self.models += len(models)
        self.checkpoints += len(rows)


def _size(model: Built) -> int:
    return model.layout.size if model.layout else 0
