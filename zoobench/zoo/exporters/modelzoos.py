"""The layout of the zoos at modelzoos.cc, for their readers; see `importers.modelzoos`.

Models that were imported from this layout are exported with their original directory, params, results and keys. Others
get published ones, and their row of our table as `zoobench` in params.json, so that nothing is lost.
"""

from __future__ import annotations

import io
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.zoo.exporters.models import ExportedModel, folder_for, write_plain_json
from zoobench.zoo.exporters.registry import Exporter
from zoobench.zoo.importers.columns import dataset_of
from zoobench.zoo.published import CONFIG, RESULTS, SAME_CONFIG, SCHEDULES, TYPES, entry_names
from zoobench.zoo.sink import Row

VARIED = ("dropout", "init", "activation", "learning_rate", "seed")  # in a directory's name
NAME = 200  # letters of a directory's name, at most
LAST = 999_999  # the largest epoch in the six digits of a checkpoint's directory
STATISTICS = "running_var"  # the last of a batch norm's floating-point entries
OURS = "zoobench"  # in params.json: the model's row of our table


def write_modelzoos(out: Path, models: Iterable[ExportedModel]) -> None:
    """Write one directory per model, and config.json with the shared and the varied hyperparameters.

    Raises `InputError` if a model's name or epochs cannot be written in this layout.
    """
    (out / "config.json").touch()  # no model may have this name
    values: dict[str, dict[str, Any]] = {}
    for number, model in enumerate(models):
        source = _source(model.row)
        params = _own_params(model) if source is None else _with_row(source["params"], model)
        folder = folder_for(out, _trial_name(model.row, number) if source is None else source["name"])
        write_plain_json(folder / "params.json", params)
        with (folder / "result.json").open("w") as file:
            results = _results(model, params) if source is None else _verbatim(source)
            file.writelines(json.dumps(result) + "\n" for result in results)
        _write_checkpoints(folder, model, _names(model) if source is None else source.get("names", {}))
        for key, value in params.items():
            if key != OURS:
                values.setdefault(key, {})[json.dumps(value, sort_keys=True)] = value
    write_plain_json(out / "config.json", {key: _grid(list(of.values())) for key, of in values.items()})


def _grid(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else {"grid_search": values}


def _source(row: Row) -> Row | None:
    """The original files' content of a model that was imported from this layout; None for others."""
    try:
        source = json.loads(row["source"] or "null")
    except (ValueError, RecursionError):
        return None
    match source:
        case {"layout": "modelzoos", "name": str(), "params": dict(), "results": [*results]}:
            names = source.get("names", {})
            named = isinstance(names, dict) and all(isinstance(name, str) for name in names.values())
            return source if named and all(isinstance(result, dict) for result in results) else None
    return None


def _verbatim(source: Row) -> Iterator[Row]:
    """The original rows of results."""
    for result in source["results"]:
        yield {
            key: source["params"] if key == "config" and value == SAME_CONFIG else value
            for key, value in result.items()
        }


def _with_row(params: Row, model: ExportedModel) -> Row:
    """The original params; with our row if they do not name the dataset, which the user gave at import, or if the
    model's id is of an earlier import."""
    same = dataset_of(params) == model.row["dataset"] and model.row["model_id"] == model.content
    return params if same else params | {OURS: model.recorded_row}


def _own_params(model: ExportedModel) -> Row:
    row = model.row
    published = {value: key for key, value in SCHEDULES.items()}
    settings = {key: row[column] for column, key in CONFIG.items()}
    kind = TYPES.get(row["architecture"], row["architecture"])
    scaled = {"model::type": f"{kind}_width", "model::width": row["width"]} if row["width"] != 1 else {}
    return {
        "model::type": kind,
        **settings,
        **scaled,
        "optim::scheduler": published.get(row["schedule"]),
        "optim::momentum": 0.9,
        "model::use_bias": False,
        "training::start_epoch": 1,
        "training::output_epoch": 1,
        "training::val_epochs": 1,
        "training::idx_out": 500,
        "training::checkpoint_dir": None,
        "cuda": False,
        "dataset::dump": f"zoos/{row['dataset'].upper()}/dataset.pt",
        OURS: model.recorded_row,
    }


def _results(model: ExportedModel, params: Row) -> Iterator[Row]:
    """One row for every epoch to the last checkpoint's, because readers take rows by their position."""
    measured = {row["epoch"]: row for row in model.checkpoints}
    config = {key: value for key, value in params.items() if key != OURS}
    last = max(measured, default=-1)
    if last > LAST:
        raise InputError(f"the zoo holds a checkpoint after epoch {last}, but this layout allows at most {LAST}")
    for epoch in range(last + 1):
        metrics = {key: measured.get(epoch, {}).get(column) for column, key in RESULTS.items()}
        told = {"training_iteration": epoch, "done": epoch == last, "trial_id": model.row["model_id"]}
        yield metrics | told | {"config": config}


def _trial_name(row: Row, number: int) -> str:
    """A name in the style of Ray Tune, of characters that any file name may have."""
    varied = ",".join(f"{CONFIG[column]}={row[column]}" for column in VARIED)
    name = f"NN_tune_trainable_{row['model_id'][:16]}_{number}_{varied}"
    return re.sub(r"[^\w:=,.+-]", ".", name, flags=re.ASCII)[:NAME]


def _names(model: ExportedModel) -> dict[str, str]:
    names = [entry.name for entry in model.layout or ()]
    return entry_names(model.row["architecture"], model.row["dropout"], names)


def _write_checkpoints(folder: Path, model: ExportedModel, names: dict[str, str]) -> None:
    for row, state in model.states:
        checkpoint = folder / f"checkpoint_{row['epoch']:06d}"
        checkpoint.mkdir()
        content = io.BytesIO()  # torch.save itself does not say why it cannot write a file
        torch.save(_with_names(state, names), content)
        (checkpoint / "checkpoints").write_bytes(content.getbuffer())


def _with_names(state: dict[str, Tensor], names: dict[str, str]) -> OrderedDict[str, Tensor]:
    """The state dict under other names, in the order of `names` if these are all, with the batch norms' counters: we do
    not keep them, so they are zero, but models need them to load strictly."""
    order = list(names) if names.keys() == state.keys() else list(state)
    if len({names.get(ours, ours) for ours in order}) < len(order):
        raise InputError(
            f"the zoo names two entries of a model alike ({', '.join(names.values()):.200}); correct its tables"
        )
    result: OrderedDict[str, Tensor] = OrderedDict()
    for ours in order:
        name = names.get(ours, ours)
        result[name] = state[ours]
        if name.endswith(STATISTICS):
            result[name.removesuffix(STATISTICS) + "num_batches_tracked"] = torch.tensor(0)
    return result


MODELZOOS = Exporter.plain(
    write_modelzoos,
    summary="the layout of the zoos of modelzoos.cc, for their readers",
    paper="Schürholt et al., Model Zoos, arXiv 2209.14764",
)
