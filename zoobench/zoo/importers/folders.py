"""The layout of Hugging Face checkpoints: a folder a model, weights in safetensors.

    <model>/config.json                                   columns of ours, and any others
    <model>/checkpoint-<epoch>/model.safetensors          or model.safetensors beside config.json, of the last epoch
    <model>/checkpoint-<epoch>/metrics.json               what was measured, if anything was

Instead of model.safetensors there may be model.safetensors.index.json and the shards that it names.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from zoobench.zoo.importers.columns import coerced, metrics_of, model_columns, whole_row
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    SourceLayout,
    inside,
    looks,
    read_object,
    shown_name,
    subfolders,
)
from zoobench.zoo.importers.state import State, read_safetensors, read_state
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.schema import CHECKPOINTS
from zoobench.zoo.sink import Row

CHECKPOINT = re.compile(r"checkpoint-(\d{1,9})")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
METRICS_FILE = "metrics.json"


def _has_weights(folder: Path) -> bool:
    return (folder / WEIGHTS).exists() or (folder / INDEX).exists()


def _is_model(folder: Path) -> bool:
    if (folder / "config.json").is_file():
        return _has_weights(folder) or bool(_checkpoints(folder)) or whole_row(_config(folder)) is not None
    return _has_weights(folder)


def _config(folder: Path) -> Row:
    try:
        return read_object(folder / "config.json")
    except RejectedError:
        return {}


def _candidates(folder: Path) -> list[Candidate]:
    """Also of folders that only have a config.json, which other layouts' folders may have too."""
    models = [each for each in subfolders(folder) if looks(_may_be_model, each, True)]
    return [Candidate(shown_name(model), partial(_read, model)) for model in models]


def _may_be_model(folder: Path) -> bool:
    return _has_weights(folder) or (folder / "config.json").exists()


FOLDERS = SourceLayout(lambda folder: any(looks(_is_model, model, False) for model in subfolders(folder)), _candidates)


def _read(folder: Path) -> FoundModel:
    name = shown_name(folder)
    config = read_object(folder / "config.json")
    whole = whole_row(config)
    row = whole or model_columns(config)
    checkpoints, faults = [], []
    for epoch, place in _checkpoints(folder) or _single(folder, config, row):
        try:
            measured = read_object(place / METRICS_FILE) if (place / METRICS_FILE).exists() else {}
        except RejectedError as error:
            measured = {}
            faults.append(Fault(name, epoch, f"{error}; the checkpoint came in without metrics"))
        checkpoints.append(FoundCheckpoint(epoch, metrics_of(measured), partial(_weights, place)))
    return FoundModel(
        name=name,
        row=row,
        whole=whole is not None,
        source={"layout": "safetensors", "name": name, "params": config},
        history=[checkpoint.metrics for checkpoint in checkpoints],
        checkpoints=checkpoints,
        faults=faults,
    )


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Epochs and folders of the checkpoints, sorted, an epoch once."""
    found = ((CHECKPOINT.fullmatch(path.name), path) for path in subfolders(folder))
    return sorted({int(match[1]): path for match, path in found if match}.items())


def _single(folder: Path, config: Row, row: Row) -> list[tuple[int, Path]]:
    if not _has_weights(folder):
        return []
    told = coerced(config.get("epoch"), CHECKPOINTS.field("epoch").type)
    epoch = row["epochs"] if told is None else told
    if epoch is None or epoch < 0:
        raise RejectedError("its config.json does not say after which epoch the weights are: add 'epoch' or 'epochs'")
    return [(epoch, folder)]


def _weights(folder: Path) -> State:
    if not (folder / INDEX).exists():
        return read_state(folder / WEIGHTS)
    shards = read_object(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise RejectedError(f"its {INDEX} has no weight_map")
    return read_safetensors((_shard(folder, shard) for shard in sorted(set(shards.values()))), shards.keys())


def _shard(folder: Path, name: str) -> Path:
    file = inside(folder, name)
    if not file.is_file():
        raise RejectedError(f"its shard {file.name} is missing")
    return file
