"""Write and read zoo directories.

    zoo.json                    the card: format, name, spec, code version, hardware
    models/<part>.parquet       one row a model: hyperparameters, seed, status
    checkpoints/<part>.parquet  one row a checkpoint: model, epoch, metrics, part and row of its weights
    weights/<part>.safetensors  `weights` [checkpoints, D] float32, with the layout as metadata

A part is what one worker wrote at once. Its models file is written last: where it stands, the part is whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
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
from zoo_generation.sink import TrainedModel
from zoobench.files import read_json, write_json, written_aside
from zoobench.provenance import hardware, versions

FORMAT = "zoobench-zoo/1"
POPULATION = ["dataset", "architecture", "width", "channels", "classes", "image_size"]
"""Columns that a population's models share: one architecture, one dataset, one layout of weights."""


@dataclass(frozen=True)
class ZooSink:
    """Where workers write what they trained: a directory that every worker sees."""

    path: Path

    def done(self) -> set[str]:
        models = _read_parts(self.path, "models", columns=["model_id"])
        return set() if models is None else set(models["model_id"])

    def write(self, models: Sequence[TrainedModel]) -> None:
        """Store models of one architecture as a part; the same models again replace their part."""
        ids = ",".join(model.spec.id for model in models)
        part = hashlib.sha256(ids.encode()).hexdigest()[:16]
        saved = [(model, checkpoint) for model in models for checkpoint in model.checkpoints]
        if saved:
            layout = Layout.of(saved[0][1].state)
            weights = torch.stack([layout.flatten(checkpoint.state) for _, checkpoint in saved])
            with written_aside(self.path / "weights" / f"{part}.safetensors") as aside:
                save_file({"weights": weights}, aside, metadata={"layout": json.dumps(layout.shapes)})
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
        with written_aside(self.path / table / f"{part}.parquet") as aside:
            pd.DataFrame(rows).to_parquet(aside, index=False)

    def write_card(self, name: str, spec: dict[str, Any]) -> None:
        """The card, with the time of the build: the most recent zoo is the one whose card is."""
        write_json(
            self.path / "zoo.json",
            {
                "format": FORMAT,
                "name": name,
                "built": datetime.now(UTC).isoformat(timespec="seconds"),
                **versions(),
                "hardware": hardware(),
                "spec": spec,
            },
        )


class Zoo:
    """A zoo directory, opened for reading. Tables are read when first asked for; weights are memory-mapped."""

    def __init__(self, path: Path) -> None:
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
        """One row a model, ordered by population and id."""
        models = _read_parts(self.path, "models")
        if models is None:
            raise InputError(f"the zoo {self.path} holds no models yet; run its 'zoobench build-zoo' command again")
        return models.sort_values([*POPULATION, "model_id"], ignore_index=True)

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """One row a checkpoint, with its model's columns, ordered by population, model and epoch."""
        checkpoints = _read_parts(self.path, "checkpoints")
        assert checkpoints is not None  # a part's checkpoints are written before its models
        joined = self.models.merge(checkpoints, on="model_id", validate="one_to_many")
        return joined.sort_values([*POPULATION, "model_id", "epoch"], ignore_index=True)

    def weights(self, checkpoints: pd.DataFrame) -> tuple[Tensor, Layout]:
        """Flat weights [rows, D] of rows of `checkpoints` that share one layout, and that layout."""
        layouts: set[Layout] = set()
        pieces: list[Tensor] = []
        order: list[int] = []
        for part, rows in checkpoints.reset_index(drop=True).groupby("part", sort=False):
            path = self.path / "weights" / f"{part}.safetensors"
            try:
                with safe_open(path, framework="pt") as file:
                    shapes = json.loads(file.metadata()["layout"])
                    layouts.add(Layout.of_shapes({name: tuple(shape) for name, shape in shapes.items()}))
                    pieces.append(file.get_tensor("weights")[rows["row"].to_list()])
            except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
                raise InputError(
                    f"the weights {path} are damaged ({error}); delete the zoo and build it again"
                ) from None
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


def _read_parts(path: Path, table: str, columns: list[str] | None = None) -> pd.DataFrame | None:
    """A table's parts put together: those whose models file stands."""
    frames = []
    for models in sorted((path / "models").glob("*.parquet")):
        file = path / table / models.name
        try:
            frames.append(pd.read_parquet(file, columns=columns))
        except (OSError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise InputError(f"the table {file} is damaged ({reason}); delete it, and build the zoo again") from None
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else None


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
