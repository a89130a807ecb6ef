"""The layout of the zoos at modelzoos.cc: one directory per model, as Ray Tune writes them.

<trial>/params.json                       the configuration, or config.json, or `config` in the rows of results
<trial>/result.json                       JSON objects, one per epoch: one per line, or an array of them
<trial>/checkpoint_NNNNNN/checkpoints     a state dict, as `torch.save` writes it; any number of digits, and any name
                                          where no other file there may hold weights
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path, PurePosixPath

from zoobench.zoo.importers.checkpoint_files import only_weights
from zoobench.zoo.importers.columns import model_columns, whole_row
from zoobench.zoo.importers.files import ROWS, RejectedError, read_inside
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    SourceLayout,
    Told,
    line_of,
    looks,
    read_object,
    shown_name,
    subfolders,
)
from zoobench.zoo.importers.values import UntakenError, value_of
from zoobench.zoo.published import SAME_CONFIG
from zoobench.zoo.schema import CHECKPOINTS, MODELS
from zoobench.zoo.sink import Row

CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})")
CONFIGS = ("params.json", "config.json")
SAVED = "checkpoint_dir_name"
"""In a row of Ray 2: the directory of the checkpoint saved with it; directories are numbered in the order of saving."""

EPOCH = CHECKPOINTS.field("epoch").type
SECONDS = MODELS.field("seconds").type
FROM_0 = (
    "its checkpoints' directories count from 0 and its results from 1, one for one: each was taken for the epoch after "
    "its number (rows with 'checkpoint_dir_name' leave no doubt)"
)

Folders = list[tuple[int, Path]]
"""Numbers and directories of checkpoints."""


def _is_trial(folder: Path) -> bool:
    return (folder / "params.json").exists() or (folder / "result.json").exists() or bool(_folders(folder))


def _candidates(folder: Path) -> list[Candidate]:
    trials = [each for each in subfolders(folder) if looks(_is_trial, each, True)]
    return [Candidate(shown_name(trial), partial(_read, trial)) for trial in trials]


def _matches(folder: Path) -> bool:
    return any(looks(_is_trial, trial, False) for trial in subfolders(folder))


MODELZOOS = SourceLayout(
    _matches,
    _candidates,
    summary="zoos of modelzoos.cc: a directory per model, with params.json, result.json and checkpoint_N/checkpoints",
    paper="Schürholt et al., Model Zoos, arXiv 2209.14764",
)


def _read(trial: Path) -> FoundModel:
    name = shown_name(trial)
    if not (trial / "result.json").is_file():
        raise RejectedError("it has no result.json, which says what was measured of it")
    results, faults = _results(trial / "result.json", name)
    params = _params(trial, results)
    whole, content = whole_row(params.get("zoobench")) or (None, None)
    if not any(results) and whole is None:
        raise RejectedError("its result.json holds no row")
    folders = _folders(trial)
    measured = by_epoch(results, {number for number, _ in folders})
    joined, notes = _joined(folders, measured, name, faults)
    row, told = model_columns(params, name)
    if row["seconds"] is None:
        row["seconds"] = _seconds(results)
    return FoundModel(
        name=name,
        row=whole or row,
        whole=whole is not None,
        content=content,
        source={
            "layout": "modelzoos",
            "name": name,
            "params": params,
            "results": [_without_config(result, params) for result in results],
        },
        history=sorted(measured.items()),
        checkpoints=[
            FoundCheckpoint(epoch, measured.get(epoch, {}), partial(only_weights, folder, "checkpoints"))
            for epoch, folder in sorted(joined.items())
        ],
        faults=faults,
        told=[*([] if whole else told), *notes],
    )


def _folders(trial: Path) -> Folders:
    """Checkpoints' directories by number, sorted."""
    found = ((CHECKPOINT.fullmatch(path.name), path) for path in subfolders(trial))
    return sorted((int(match[1]), path) for match, path in found if match)


def _joined(
    folders: Folders, measured: dict[int, Row], model: str, faults: list[Fault]
) -> tuple[dict[int, Path], list[Told]]:
    """Each epoch's directory: from the rows, or else by number; reasons for leaving some out go to `faults`.

    Raises `RejectedError` if directories are numbered in the order of saving, and no row says at which epoch.
    """
    saved = {str(PurePosixPath(str(row[SAVED])).name): epoch for epoch, row in measured.items() if row.get(SAVED)}
    numbers = sorted({number for number, _ in folders})
    shift, notes = 0, []
    if not saved and _are_saves(numbers, measured):
        if len(numbers) != len(measured):
            raise RejectedError(
                f"its checkpoints' directories count from 0 to {numbers[-1]} as they were saved, its results from 1 to "
                f"{max(measured)}, and none says after which epoch that was: add 'checkpoint_dir_name' to the rows"
            )
        shift, notes = 1, [Told(FROM_0, "", model, lost=False)]
    epochs: dict[int, Path] = {}
    for number, folder in folders:
        if saved and folder.name not in saved:
            faults.append(Fault(model, None, f"no row of its result.json has {folder.name} as its {SAVED}: left out"))
            continue
        epoch = saved[folder.name] if saved else number + shift
        if epochs.setdefault(epoch, folder) != folder:
            faults.append(Fault(model, epoch, f"{epochs[epoch].name} is of the same epoch as {folder.name}"))
    if gone := sorted(saved.keys() - {folder.name for _, folder in folders}):
        what = "rows of its result.json name checkpoints that are not there"
        notes.append(Told(what, f": {gone[0]!r:.60}", model, lost=False))
    if unmeasured := sorted(epochs.keys() - measured.keys() - {0}):
        what = "no row of its result.json is of a checkpoint's number, and it came in without measurements"
        notes.append(Told(what, f": {epochs[unmeasured[0]].name}", model))
    return epochs, notes


def _are_saves(numbers: list[int], measured: dict[int, Row]) -> bool:
    """Whether directories may be numbered in the order of saving: 0, 1, 2, …, with results that count from 1 and go on.

    If they are epochs, the last one is there too, or numbers are left out between.
    """
    counted = [epoch for epoch, row in measured.items() if row]
    if not counted or not numbers or numbers != list(range(len(numbers))):
        return False
    return min(counted) > 0 and max(counted) > numbers[-1]


def _results(file: Path, model: str) -> tuple[list[Row], list[Fault]]:
    """Rows of results, and which of them are not rows, such as the last line of a killed training.

    The latter become empty rows, because rows without an epoch are identified by position.
    """
    try:
        text = read_inside(file).decode("utf-8-sig", "replace")
    except OSError as error:
        raise RejectedError(f"its result.json cannot be read ({error.strerror or error})") from None
    try:
        content = json.loads(text)
        rows = content if isinstance(content, list) else [content]
    except (ValueError, RecursionError):
        rows = [line_of(line) for line in text.split("\n") if line.strip()]
    if len(rows) > ROWS:
        raise RejectedError(f"its result.json has {len(rows):,} rows, but may have at most {ROWS:,}")
    faults = [
        Fault(model, None, f"row {number} of its result.json is not a JSON object, and was left out")
        for number, row in enumerate(rows, 1)
        if not isinstance(row, dict)
    ]
    return [row if isinstance(row, dict) else {} for row in rows], faults


def _params(trial: Path, results: list[Row]) -> Row:
    for name in CONFIGS:
        if (trial / name).is_file():
            return read_object(trial / name)
    configs = [result["config"] for result in results if isinstance(result.get("config"), dict)]
    if not configs:
        raise RejectedError("it has no params.json, no config.json, and no config in its result.json")
    return configs[0]


def by_epoch(results: list[Row], checkpoints: set[int]) -> dict[int, Row]:
    """Each epoch's last row, because resumed trainings write epochs twice. Rows without an epoch count from 0 or from
    1, whichever fits the checkpoints; those of Ray 2 from 1."""
    last, rows = max(checkpoints, default=0), len(results)
    first = int(last == rows) if last in (rows - 1, rows) else int(0 not in checkpoints)
    if any(SAVED in result for result in results):
        first = 1
    measured = {}
    for position, result in enumerate(results):
        if result:
            told = _epoch_of(result)
            measured[position + first if told is None else told] = result
    return measured


def _epoch_of(result: Row) -> int | None:
    for key in ("training_iteration", "epoch"):
        try:
            if (epoch := value_of(result.get(key), EPOCH)) is not None and epoch >= 0:
                return int(epoch)
        except UntakenError:
            continue
    return None


def _seconds(results: list[Row]) -> float | None:
    """All iterations together; None if none says its time."""
    total = 0.0
    for result in results:
        try:
            total += value_of(result.get("time_this_iter_s"), SECONDS) or 0.0
        except UntakenError:
            continue
    return total if 0 < total < math.inf else None


def _without_config(result: Row, params: Row) -> Row:
    return {key: SAME_CONFIG if key == "config" and value == params else value for key, value in result.items()}
