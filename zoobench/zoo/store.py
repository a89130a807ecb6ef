"""Write and read zoo directories.

    zoo.json                    the card: format, name, spec, code version, hardware
    models/<part>.parquet       one row a model: hyperparameters, seed, status
    checkpoints/<part>.parquet  one row a checkpoint: model, epoch, metrics, part and row of its weights
    weights/<part>.safetensors  `weights` [checkpoints, D] float32, with the layout as metadata

A part is what one worker wrote at once. Its models file is written last: where it stands, the part is whole,
unless the storage lost something. The directory may lie on a remote store: see `zoo_path`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.architectures import Layout
from zoo_generation.errors import InputError
from zoo_generation.sink import Metrics, TrainedModel
from zoobench.files import StoragePath, files_in, local_copy, read_json, write_json, written_aside
from zoobench.provenance import hardware, versions
from zoobench.zoo.lock import locked
from zoobench.zoo.parts import AGAIN, DamagedPartError, asked_at_once, models_of, part_file, part_names, read_table

FORMAT = "zoobench-zoo/1"
POPULATION = ["dataset", "architecture", "width", "channels", "classes", "image_size"]
"""Columns that a population's models share: one architecture, one dataset, one layout of weights."""
CHECKPOINT = ["model_id", "epoch", *(field.name for field in dataclasses.fields(Metrics)), "part", "row"]
FOLDERS = ("models", "checkpoints", "weights")  # in this order a part is removed: without its models it is none
TEMPORARY = ("*/.*.parquet.*", "*/.*.safetensors.*", ".*.json.*")  # as `written_aside` names them


@dataclass(frozen=True)
class ZooSink:
    """Where workers write what they trained: a directory that every worker sees."""

    path: StoragePath

    def lock(self) -> AbstractContextManager[None]:
        """Hold the zoo for one build; see `locked`."""
        return locked(self.path)

    def repair(self) -> int:
        """Remove damaged parts and temporary files of writers that were killed; returns the number of such parts.

        Only for a build that holds the lock. The models of these parts are missing then, to be trained again.
        Files of a part whose models file was never written stay: a worker that outlived its build may yet write it.
        """
        parts = part_names(self.path)
        damaged = [part for part, models in zip(parts, self._models_of(parts), strict=True) if models is None]
        for part in damaged:
            for folder in FOLDERS:
                part_file(self.path, folder, part).unlink(missing_ok=True)
        for pattern in TEMPORARY:
            for file in files_in(self.path, pattern):
                file.unlink(missing_ok=True)
        return len(damaged)

    def done(self) -> set[str]:
        """Ids of the models whose part is whole."""
        found = self._models_of(part_names(self.path))
        return set().union(*(models for models in found if models is not None))

    def _models_of(self, parts: Sequence[str]) -> list[set[str] | None]:
        """Ids of each part's models; none where it is damaged."""

        def whole(part: str) -> set[str] | None:
            try:
                return models_of(self.path, part)
            except DamagedPartError:
                return None

        return asked_at_once(whole, parts)

    def write(self, models: Sequence[TrainedModel]) -> None:
        """Store models of one architecture as a part; the same models again replace their part.

        Raises `OSError` where the storage is full; nothing of these models counts then.
        """
        ids = ",".join(model.spec.id for model in models)
        part = hashlib.sha256(ids.encode()).hexdigest()[:16]
        saved = [(model, checkpoint) for model in models for checkpoint in model.checkpoints]
        if saved:
            layout = Layout.of(saved[0][1].state)
            weights = torch.stack([layout.flatten(checkpoint.state) for _, checkpoint in saved])
            with written_aside(part_file(self.path, "weights", part)) as aside:
                _save(weights, layout, aside)
        checkpoints = [
            {
                "model_id": model.spec.id,
                "epoch": checkpoint.epoch,
                **dataclasses.asdict(checkpoint.metrics),
                "part": part,
                "row": row,
            }
            for row, (model, checkpoint) in enumerate(saved)
        ]
        self._write_table("checkpoints", part, checkpoints)
        self._write_table("models", part, [_model_row(model) for model in models])

    def _write_table(self, table: str, part: str, rows: list[dict[str, Any]]) -> None:
        with written_aside(part_file(self.path, table, part)) as aside:
            pd.DataFrame(rows).to_parquet(aside, index=False)

    def write_card(self, name: str, spec: dict[str, Any]) -> None:
        """The card, with the time of the build: the most recent zoo is the one whose card is.

        Raises `InputError` where the zoo cannot be written to; it is the first thing that a build writes.
        """
        card = {
            "format": FORMAT,
            "name": name,
            "built": datetime.now(UTC).isoformat(timespec="seconds"),
            **versions(),
            "hardware": hardware(),
            "spec": spec,
        }
        try:
            write_json(self.path / "zoo.json", card)
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot write into {self.path} ({reason}); choose another --out") from None


class Zoo:
    """A zoo, opened for reading. Tables are read when first asked for; local weights are memory-mapped."""

    def __init__(self, path: StoragePath) -> None:
        self.path = path
        if not (path / "zoo.json").is_file():
            raise InputError(
                f"{path} is no zoo: it holds no zoo.json; build one with 'zoobench build-zoo --out {path}'"
            )
        self.card = read_json(path / "zoo.json", "the card of the zoo")
        if self.card.get("format") != FORMAT:
            raise InputError(
                f"{path} is in format {self.card.get('format')!r}, and this zoobench reads {FORMAT!r}; update zoobench"
            )

    @property
    def name(self) -> str:
        return str(self.card["name"])

    @cached_property
    def models(self) -> pd.DataFrame:
        """One row a model, ordered by population and id; `part` says where its checkpoints are.

        A model that stands in two parts, as after a retry with other shards, counts once.
        """
        parts = part_names(self.path)
        tables = asked_at_once(lambda part: read_table(self.path, "models", part).assign(part=part), parts)
        if not tables:
            raise InputError(f"the zoo {self.path} holds no models yet; run its 'zoobench build-zoo' command again")
        models = pd.concat(tables, ignore_index=True).drop_duplicates("model_id")
        return models.sort_values([*POPULATION, "model_id"], ignore_index=True)

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """One row a checkpoint, with its model's columns, ordered by population, model and epoch."""
        parts = sorted(self.models["part"].unique())
        tables = asked_at_once(lambda part: read_table(self.path, "checkpoints", part), parts)
        kept = [table for table in tables if len(table)] or [pd.DataFrame(columns=CHECKPOINT)]
        checkpoints = pd.concat(kept, ignore_index=True)
        joined = self.models.merge(checkpoints, on=["model_id", "part"], validate="one_to_many")
        return joined.sort_values([*POPULATION, "model_id", "epoch"], ignore_index=True)

    def weights(self, checkpoints: pd.DataFrame) -> tuple[Tensor, Layout]:
        """Flat weights [rows, D] of rows of `checkpoints` that share one layout, and that layout."""
        layouts: set[Layout] = set()
        pieces: list[Tensor] = []
        order: list[int] = []
        for part, rows in checkpoints.reset_index(drop=True).groupby("part", sort=False):
            path = part_file(self.path, "weights", str(part))
            try:
                with local_copy(path) as local, safe_open(local, framework="pt") as file:
                    shapes = json.loads(file.metadata()["layout"])
                    layouts.add(Layout.of_shapes({name: tuple(shape) for name, shape in shapes.items()}))
                    pieces.append(file.get_tensor("weights")[rows["row"].to_list()])
            except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
                raise DamagedPartError(f"the weights {path} are damaged ({error}); {AGAIN}") from None
            order.extend(rows.index)
        if len(layouts) != 1:
            raise ValueError(f"checkpoints of {len(layouts)} layouts asked for at once; ask for one population")
        weights = torch.empty(len(checkpoints), pieces[0].shape[1])
        weights[order] = torch.cat(pieces)
        return weights, layouts.pop()


def latest_zoo(folder: Path) -> Path:
    """The most recently built zoo under a folder; raises `InputError` with the command that makes one."""
    cards = [(read_json(card, "the card of the zoo").get("built", ""), card) for card in folder.glob("*/zoo.json")]
    if not cards:
        raise InputError(f"there is no zoo under {folder}; build one with 'zoobench build-zoo', or name one with --zoo")
    return max(cards)[1].parent


def _save(weights: Tensor, layout: Layout, file: Path) -> None:
    """Write weights [rows, D]; raises `OSError` where the storage is full, as the tables do."""
    try:
        save_file({"weights": weights}, file, metadata={"layout": json.dumps(layout.shapes)})
    except SafetensorError as error:
        raise OSError(f"cannot write {file}: {error}") from None


def _model_row(model: TrainedModel) -> dict[str, Any]:
    row = model.spec.model_dump(exclude={"checkpoint_epochs"})
    return {
        "model_id": model.spec.id,
        "status": model.status,
        **row,
        "channels": model.channels,
        "classes": model.classes,
        "seconds": model.seconds,
    }
