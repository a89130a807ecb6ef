"""The layout of the zoos at modelzoos.cc: a directory a model, as Ray Tune writes them.

<trial>/params.json                       the configuration, or config.json, or `config` in the rows of results
<trial>/result.json                       a JSON object an epoch, one a line, or one array of them
<trial>/checkpoint_NNNNNN/checkpoints     a state dict, as `torch.save` writes it; any number of digits
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from zoobench.zoo.importers.columns import coerced, metrics_of, model_columns, whole_row
from zoobench.zoo.importers.files import ROWS, read_inside
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    SourceLayout,
    line_of,
    looks,
    read_object,
    shown_name,
    subfolders,
)
from zoobench.zoo.importers.state import read_state
from zoobench.zoo.importers.tolerance import RejectedError
from zoobench.zoo.published import SAME_CONFIG
from zoobench.zoo.schema import CHECKPOINTS, MODELS
from zoobench.zoo.sink import Row

CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})")
CONFIGS = ("params.json", "config.json")
EPOCH = CHECKPOINTS.field("epoch").type
SECONDS = MODELS.field("seconds").type


def _is_trial(folder: Path) -> bool:
    return (folder / "params.json").exists() or (folder / "result.json").exists() or bool(_checkpoints(folder))


def _candidates(folder: Path) -> list[Candidate]:
    trials = [each for each in subfolders(folder) if looks(_is_trial, each, True)]
    return [Candidate(shown_name(trial), partial(_read, trial)) for trial in trials]


def _matches(folder: Path) -> bool:
    return any(looks(_is_trial, trial, False) for trial in subfolders(folder))


MODELZOOS = SourceLayout(_matches, _candidates)


def _read(trial: Path) -> FoundModel:
    name = shown_name(trial)
    if not (trial / "result.json").is_file():
        raise RejectedError("it has no result.json, which says what was measured of it")
    results, faults = _results(trial / "result.json", name)
    params = _params(trial, results)
    whole = whole_row(params.get("zoobench"))
    if not any(results) and whole is None:
        raise RejectedError("its result.json holds no row")
    folders = _checkpoints(trial)
    epochs: dict[int, Path] = {}
    for epoch, folder in folders:
        if epochs.setdefault(epoch, folder) != folder:
            faults.append(Fault(name, epoch, f"{epochs[epoch].name} is of the same epoch as {folder.name}"))
    measured = _by_epoch(results, set(epochs))
    metrics = {epoch: metrics_of(result) for epoch, result in sorted(measured.items())}
    seconds = [coerced(result.get("time_this_iter_s"), SECONDS) for result in results]
    row = model_columns(params)
    if row["seconds"] is None and any(seconds):
        row["seconds"] = sum(each for each in seconds if each)
    return FoundModel(
        name=name,
        row=whole or row,
        whole=whole is not None,
        source={
            "layout": "modelzoos",
            "name": name,
            "params": params,
            "results": [_without_config(result, params) for result in results],
        },
        history=list(metrics.values()),
        checkpoints=[
            FoundCheckpoint(epoch, metrics.get(epoch, metrics_of({})), partial(read_state, folder / "checkpoints"))
            for epoch, folder in sorted(epochs.items())
        ],
        faults=faults,
    )


def _checkpoints(trial: Path) -> list[tuple[int, Path]]:
    """Epochs and folders of the checkpoints, sorted."""
    found = ((CHECKPOINT.fullmatch(path.name), path) for path in subfolders(trial))
    return sorted((int(match[1]), path) for match, path in found if match)


def _results(file: Path, model: str) -> tuple[list[Row], list[Fault]]:
    """Rows of results, and which of them are none, such as the last line of a training that was killed.

    They stand as empty rows, since rows that say no epoch are told by their position.
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
        raise RejectedError(f"its result.json has {len(rows):,} rows, and may have at most {ROWS:,}")
    faults = [
        Fault(model, None, f"row {number} of its result.json is no JSON object, and was left out")
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


def _by_epoch(results: list[Row], checkpoints: set[int]) -> dict[int, Row]:
    """Each epoch's last row: trainings that were taken up again write epochs twice. Rows that say no epoch count from
    0 or from 1, whichever fits the checkpoints."""
    last, rows = max(checkpoints, default=0), len(results)
    first = int(last == rows) if last in (rows - 1, rows) else int(0 not in checkpoints)
    measured = {}
    for position, result in enumerate(results):
        if not result:
            continue
        told = (coerced(result.get(key), EPOCH) for key in ("training_iteration", "epoch"))
        measured[next((epoch for epoch in told if epoch is not None), position + first)] = result
    return measured


def _without_config(result: Row, params: Row) -> Row:
    return {key: SAME_CONFIG if key == "config" and value == params else value for key, value in result.items()}
