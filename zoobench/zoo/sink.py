"""Write zoo directories, part by part: from workers that train models, and from importers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.files import StoragePath, files_in, sha256_of, sweep, write_json, writing_into, written_aside
from zoo_generation.names import file_name
from zoo_generation.networks.architectures import Layout
from zoo_generation.provenance import hardware, versions
from zoo_generation.training.sink import TrainedModel
from zoobench.zoo.lock import locked
from zoobench.zoo.parts import FOLDERS, DamagedPartError, asked_at_once, models_of, part_file, part_names
from zoobench.zoo.schema import FORMAT, TABLES, entries_of, with_skills, without_unused

TEMPORARY = ("*/.*.parquet.*", "*/.*.safetensors.*", "*/.*.sha256.*", ".*.json.*")  # as `written_aside` names them

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The unit of writing: rows of models, rows of their checkpoints without `part` and `row`, and the weights
    [checkpoints, D] in one layout, both None if no model has a checkpoint."""

    models: Sequence[Row]
    checkpoints: Sequence[Row]
    weights: Tensor | None
    layout: Layout | None

    @property
    def name(self) -> str:
        """A hash of the models' ids: writing the same models again replaces their part."""
        ids = ",".join(model["model_id"] for model in self.models)
        return hashlib.sha256(ids.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ZooSink:
    """Where workers write trained models: a directory that every worker sees."""

    path: StoragePath

    def lock(self) -> AbstractContextManager[None]:
        """Hold the zoo for one build; see `locked`."""
        return locked(self.path)

    def repair(self) -> int:
        """Remove damaged parts and temporary files of killed writers. Returns the number of damaged parts.

        Only for a build that holds the lock. The models of these parts then count as missing, and are trained again.
        Files of a part without a models file stay: a worker that outlived its build may still write it.
        """
        parts = part_names(self.path)
        damaged = [part for part, models in zip(parts, self._models_of(parts), strict=True) if models is None]
        for part in damaged:
            for folder in FOLDERS:
                part_file(self.path, folder, part).unlink(missing_ok=True)
        if isinstance(self.path, Path):
            for place in (self.path, *(self.path / name for name in FOLDERS)):
                sweep(place)
        for pattern in TEMPORARY:
            for file in files_in(self.path, pattern):
                if file.is_file():  # earlier versions left files
                    file.unlink(missing_ok=True)
        return len(damaged)

    def done(self) -> set[str]:
        """Ids of the models whose part is undamaged."""
        found = self._models_of(part_names(self.path))
        return set().union(*(models for models in found if models is not None))

    def _models_of(self, parts: Sequence[str]) -> list[set[str] | None]:
        """Ids of each part's models; None if it is damaged."""

        def whole(part: str) -> set[str] | None:
            try:
                return models_of(self.path, part)
            except DamagedPartError:
                return None

        return asked_at_once(whole, parts)

    def write(self, models: Sequence[TrainedModel]) -> None:
        """Store models of one architecture as a part; writing the same models again replaces their part.

        Raises `OSError` if the storage is full; then none of these models counts.
        """
        self.write_part(part_of(models))

    def write_part(self, part: Part) -> None:
        """Store a part that is given as rows; see `write`."""
        sums = {}
        if part.weights is not None and part.layout is not None:
            file = part_file(self.path, "weights", part.name)
            with written_aside(file) as aside:
                _save(part.weights, part.layout, aside)
                sums[f"weights/{file.name}"] = sha256_of(aside)
        rows = [row | {"part": part.name, "row": number} for number, row in enumerate(part.checkpoints)]
        tables = {"checkpoints": _parquet("checkpoints", rows), "models": _parquet("models", part.models)}
        sums |= {f"{name}/{part.name}.parquet": hashlib.sha256(table).hexdigest() for name, table in tables.items()}
        lines = "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items())).encode()
        for folder, content in {"checksums": lines, **tables}.items():
            with written_aside(part_file(self.path, folder, part.name)) as aside:
                aside.write_bytes(content)

    def write_card(
        self,
        name: str,
        spec: dict[str, Any],
        imported: dict[str, str] | None = None,
        generated: dict[str, Any] | None = None,
    ) -> None:
        """Write the card with the present time: the zoo built last is the one with the latest card.

        spec: what is trained; empty if the models are `imported`, which gives the folder and layout, or `generated`,
        which gives the method and the zoos. Raises `InputError` if the zoo cannot be written to. A build writes the
        card first, so that the zoo can be used while it grows; an import writes it last.
        """
        card = {
            "format": FORMAT,
            "name": file_name(name),
            "built": datetime.now(UTC).isoformat(timespec="seconds"),
            **versions(),
            "hardware": hardware(),
            "spec": spec,
            **({"imported": imported} if imported else {}),
            **({"generated": generated} if generated else {}),
        }
        with writing_into(self.path):
            write_json(self.path / "zoo.json", card)


def part_of(models: Sequence[TrainedModel]) -> Part:
    """Trained models of one architecture as a part."""
    saved = [(model, checkpoint) for model in models for checkpoint in model.checkpoints]
    rows = [
        {
            "model_id": model.spec.id,
            "epoch": checkpoint.epoch,
            **dataclasses.asdict(checkpoint.metrics),
            **checkpoint.skills,
        }
        for model, checkpoint in saved
    ]
    layout = Layout.of(saved[0][1].state) if saved else None
    weights = torch.stack([layout.flatten(checkpoint.state) for _, checkpoint in saved]) if layout else None
    return Part([_model_row(model) for model in models], rows, weights, layout)


def _parquet(table: str, rows: Sequence[Row]) -> bytes:
    buffer = pa.BufferOutputStream()
    schema = with_skills(TABLES[table], rows[0] if rows else ())
    pq.write_table(without_unused(pa.Table.from_pylist(rows, schema)), buffer)
    return buffer.getvalue().to_pybytes()


def _save(weights: Tensor, layout: Layout, file: Path) -> None:
    """Write weights [rows, D]; raises `OSError` if the storage is full, as the tables do."""
    try:
        save_file({"weights": weights}, file, metadata={"layout": json.dumps(entries_of(layout))})
    except SafetensorError as error:
        raise OSError(f"cannot write {file}: {error}") from None


def _model_row(model: TrainedModel) -> Row:
    return {
        "model_id": model.spec.id,
        "status": model.status,
        **model.spec.model_dump(exclude={"checkpoint_epochs", "part"}),
        "data_part": model.spec.part,
        "channels": model.channels,
        "classes": model.classes,
        "seconds": model.seconds,
    }
