"""The layout of Hugging Face checkpoints: one folder per model, weights in safetensors.

    <model>/config.json                                   columns of ours, and any others
    <model>/checkpoint-<epoch>/model.safetensors          and, or instead, model.safetensors beside config.json
    <model>/checkpoint-<epoch>/metrics.json               measurements, if there are any

Instead of model.safetensors there may be model.safetensors.index.json and the shards that it names, or
pytorch_model.bin. If a checkpoint holds the trainer_state.json of Hugging Face's Trainer, which numbers them by steps,
that gives the epoch and the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zoobench.zoo.importers.checkpoint_files import has_weights, hugging_face_weights
from zoobench.zoo.importers.columns import model_columns, whole_row
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    SourceLayout,
    looks,
    read_object,
    shown_name,
    subfolders,
)
from zoobench.zoo.importers.values import UntakenError, is_nothing, number, value_of
from zoobench.zoo.schema import MODELS
from zoobench.zoo.sink import Row

CHECKPOINT = re.compile(r"checkpoint-(\d{1,9})")
METRICS_FILES = ("metrics.json", "all_results.json", "eval_results.json")
TRAINER = "trainer_state.json"
OF_A_TRAINER = (TRAINER, "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")
EPOCHS = MODELS.field("epochs").type
WHOLE = 0.05  # allowed deviation from a whole epoch: trainers round the steps of the last batches


@dataclass(frozen=True)
class SavedFolder:
    """A folder with weights, with their epoch, their measurements, and the trainer's state."""

    folder: Path
    epoch: int
    metrics: Row
    trainer: Row


def _is_model(folder: Path) -> bool:
    if (folder / "config.json").is_file():
        return has_weights(folder) or bool(_numbered(folder)) or whole_row(_config(folder)) is not None
    return has_weights(folder)


def _config(folder: Path, name: str = "config.json") -> Row:
    """The JSON object in a file of a folder; empty if it cannot be read."""
    try:
        return read_object(folder / name)
    except RejectedError:
        return {}


def _candidates(folder: Path) -> list[Candidate]:
    """Also true for folders with only a config.json, which other layouts' folders may have too."""
    models = [each for each in subfolders(folder) if looks(_may_be_model, each, True)]
    return [Candidate(shown_name(model), partial(_read, model)) for model in models]


def _may_be_model(folder: Path) -> bool:
    return has_weights(folder) or (folder / "config.json").exists()


def _matches(folder: Path) -> bool:
    return any(looks(_is_model, model, False) for model in subfolders(folder))


FOLDERS = SourceLayout(
    _matches,
    _candidates,
    summary="a folder per model, with config.json and model.safetensors or checkpoint-EPOCH/model.safetensors",
)


def _read(folder: Path) -> FoundModel:
    name = shown_name(folder)
    config = read_object(folder / "config.json")
    whole, content = whole_row(config) or (None, None)
    row, told = model_columns(config, name)
    row = whole or row
    faults: list[Fault] = []
    places: dict[int, SavedFolder] = {}
    for place in _places(folder, config, row, whole is not None, faults):
        if (first := places.setdefault(place.epoch, place)) is not place:
            reason = f"{_called(place.folder, folder)} is of the same epoch as {_called(first.folder, folder)}"
            faults.append(Fault(name, place.epoch, reason))
    found = [places[epoch] for epoch in sorted(places)]
    if row["epochs"] is None:
        row["epochs"] = _planned([place.trainer for place in found])
    return FoundModel(
        name=name,
        row=row,
        whole=whole is not None,
        content=content,
        source={"layout": "safetensors", "name": name, "params": config},
        history=[(place.epoch, place.metrics) for place in found],
        checkpoints=[
            FoundCheckpoint(place.epoch, place.metrics, partial(hugging_face_weights, place.folder)) for place in found
        ],
        faults=faults,
        told=() if whole else told,
    )


def _called(place: Path, model: Path) -> str:
    return shown_name(place) if place != model else "the model beside its checkpoints"


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Numbers and folders of the checkpoints, sorted."""
    found = ((CHECKPOINT.fullmatch(path.name), path) for path in subfolders(folder))
    return sorted((int(match[1]), path) for match, path in found if match)


def _places(folder: Path, config: Row, row: Row, whole: bool, faults: list[Fault]) -> Iterator[SavedFolder]:
    """The model's checkpoints, then the weights beside them; reasons for leaving some out go to `faults`."""
    name, numbered = shown_name(folder), _numbered(folder)
    states = []
    for count, place in numbered:
        try:
            state = _state(place)
            states.append(state)
            epoch = _whole_epoch(state.get("epoch"), place) if state else count
            if not state and not whole and _counts_steps(count, place, row):
                raise RejectedError(f"{place.name} counts steps, and does not say its epoch: it holds no {TRAINER}")
        except RejectedError as error:
            faults.append(Fault(name, None, str(error)))
            continue
        yield SavedFolder(place, epoch, _measured(place, state, name, epoch, faults), state)
    if not has_weights(folder):
        return
    try:
        epoch = _last_epoch(folder, config, row, states[-1] if states else {})
    except RejectedError as error:
        if not numbered:
            raise
        faults.append(Fault(name, None, f"the model beside its checkpoints was left out: {error}"))
        return
    yield SavedFolder(folder, epoch, _measured(folder, {}, name, epoch, faults), {})


def _counts_steps(count: int, place: Path, row: Row) -> bool:
    """Whether the number of a checkpoint that does not state its epoch counts steps."""
    return any((place / file).exists() for file in OF_A_TRAINER) or (
        row["epochs"] is not None and count > row["epochs"]
    )


def _state(place: Path) -> Row:
    """The trainer's state in a checkpoint; empty if there is none. Raises `RejectedError`."""
    try:
        return read_object(place / TRAINER) if (place / TRAINER).exists() else {}
    except RejectedError as error:
        raise RejectedError(f"{shown_name(place)} does not say its epoch: {error}") from None


def _whole_epoch(told: Any, place: Path) -> int:
    """The epoch after which a trainer saved. Raises `RejectedError` if it is not given, or not whole."""
    try:
        epoch = float(number(told))
    except UntakenError:
        raise RejectedError(f"{shown_name(place)} has files of a trainer that do not say its epoch") from None
    whole = round(epoch) if 0 <= epoch < 1e9 else -1
    if whole < 0 or abs(epoch - whole) > WHOLE or (whole == 0 and epoch > 0):
        raise RejectedError(f"{shown_name(place)} was saved after {epoch:g} epochs, but a zoo holds whole ones")
    return whole


def _last_epoch(folder: Path, config: Row, row: Row, state: Row) -> int:
    """The epoch of the weights beside config.json, from its files. Raises `RejectedError`."""
    if state.get("best_model_checkpoint"):
        raise RejectedError(f"{TRAINER} names a best checkpoint, which it may be instead of the last")
    told = [config.get("epoch"), *(_config(folder, file).get("epoch") for file in (TRAINER, *METRICS_FILES))]
    for epoch in (*told, state.get("num_train_epochs"), row["epochs"]):
        if not is_nothing(epoch):
            return _whole_epoch(epoch, folder)
    raise RejectedError("its config.json does not say after which epoch the weights are: add 'epoch' or 'epochs'")


def _planned(states: Iterable[Row]) -> int | None:
    """The planned number of epochs of a trainer; None if no state gives it."""
    for state in states:
        with suppress(UntakenError):
            if (epochs := value_of(state.get("num_train_epochs"), EPOCHS)) is not None and epochs >= 0:
                return int(epochs)
    return None


def _measured(place: Path, state: Row, model: str, epoch: int, faults: list[Fault]) -> Row:
    """The measurements of the weights in a folder: from its own files, or from the trainer's log of the same step."""
    try:
        for file in METRICS_FILES:
            if (place / file).exists():
                return read_object(place / file)
    except RejectedError as error:
        faults.append(Fault(model, epoch, f"{error}; the checkpoint came in without metrics"))
        return {}
    log = state.get("log_history")
    measured: Row = {}
    for entry in log if isinstance(log, list) else ():
        if isinstance(entry, dict) and entry.get("step") == state.get("global_step"):
            measured |= {key: value for key, value in entry.items() if isinstance(key, str) and key != "loss"}
    return measured
