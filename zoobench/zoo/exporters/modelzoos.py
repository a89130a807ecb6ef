"""The layout of the zoos at modelzoos.cc, as their readers want it; see `importers.modelzoos`.

Models that came in this layout leave with the directory, params, results and keys that they came with. Those of
other origin get published ones, and their row of our table as `zoobench` in params.json, so that nothing is lost.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoobench.zoo.exporters.models import ExportedModel, folder_for, write_plain_json
from zoobench.zoo.published import CONFIG, RESULTS, SAME_CONFIG, SCHEDULES, TYPES, entry_names
from zoobench.zoo.sink import Row

VARIED = ("dropout", "init", "activation", "learning_rate", "seed")  # told in a directory's name
STATISTICS = "running_var"  # the last of a batch norm's floating-point entries


def write_modelzoos(out: Path, models: Iterable[ExportedModel]) -> None:
    """Write a directory a model, and config.json, which says what the models share and what was varied."""
    shared: dict[str, dict[str, Any]] = {}
    for number, model in enumerate(models):
        source = _source(model.row)
        folder = folder_for(out, source["name"] if source else _trial_name(model.row, number))
        params = source["params"] if source else _params(model.row)
        results = _verbatim(source["results"], params) if source else _results(model, params)
        write_plain_json(folder / "params.json", params)
        (folder / "result.json").write_text("".join(json.dumps(result) + "\n" for result in results))
        names = source.get("names", {}) if source else _names(model)
        for row, state in model.states:
            checkpoint = folder / f"checkpoint_{row['epoch']:06d}"
            checkpoint.mkdir()
            torch.save(_with_names(state, names), checkpoint / "checkpoints")
        for key, value in params.items():
            if key != "zoobench":
                shared.setdefault(key, {})[json.dumps(value, sort_keys=True)] = value
    config = {
        key: next(iter(values.values())) if len(values) == 1 else {"grid_search": list(values.values())}
        for key, values in shared.items()
    }
    write_plain_json(out / "config.json", config)


def _source(row: Row) -> Row | None:
    """What a model of this layout came with; none of another."""
    try:
        source = json.loads(row["source"] or "null")
    except (ValueError, RecursionError):
        return None
    match source:
        case {"layout": "modelzoos", "name": str(), "params": dict(), "results": [*results]}:
            return source if all(isinstance(result, dict) for result in results) else None
    return None


def _verbatim(results: list[Row], params: Row) -> list[Row]:
    return [
        {key: params if key == "config" and value == SAME_CONFIG else value for key, value in result.items()}
        for result in results
    ]


def _params(row: Row) -> Row:
    published = {value: key for key, value in SCHEDULES.items()}
    settings = {key: row[column] for column, key in CONFIG.items()}
    return {
        "model::type": TYPES.get(row["architecture"], row["architecture"]),
        **settings,
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
        "zoobench": row,
    }


def _results(model: ExportedModel, params: Row) -> list[Row]:
    """A row for every epoch to the last checkpoint's, since readers take rows by their position."""
    measured = {row["epoch"]: row for row in model.checkpoints}
    config = {key: value for key, value in params.items() if key != "zoobench"}
    last = max(measured, default=-1)
    return [
        {RESULTS[name]: measured.get(epoch, {}).get(name) for name in RESULTS}
        | {"training_iteration": epoch, "done": epoch == last, "trial_id": model.row["model_id"], "config": config}
        for epoch in range(last + 1)
    ]


def _trial_name(row: Row, number: int) -> str:
    varied = ",".join(f"{CONFIG[column]}={row[column]}" for column in VARIED)
    return f"NN_tune_trainable_{row['model_id']}_{number}_{varied}"


def _names(model: ExportedModel) -> dict[str, str]:
    names = [entry.name for entry in model.layout or ()]
    return entry_names(model.row["architecture"], model.row["dropout"], names)


def _with_names(state: dict[str, Tensor], names: dict[str, str]) -> OrderedDict[str, Tensor]:
    """The state dict under other names, in the order of `names` where these are all, with the batch norms' counters:
    zero, since they are not kept, and there, since models load strictly."""
    order = list(names) if names.keys() == state.keys() else list(state)
    result: OrderedDict[str, Tensor] = OrderedDict()
    for ours in order:
        name = names.get(ours, ours)
        result[name] = state[ours]
        if name.endswith(STATISTICS):
            result[name.removesuffix(STATISTICS) + "num_batches_tracked"] = torch.tensor(0)
    return result
