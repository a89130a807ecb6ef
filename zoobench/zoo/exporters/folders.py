"""One folder per model, with safetensors: `zoobench zoo import --layout safetensors` reads it back unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save

from zoobench.zoo.exporters.models import ExportedModel, folder_for, write_plain_json
from zoobench.zoo.exporters.registry import Exporter
from zoobench.zoo.schema import METRICS


def write_folders(out: Path, models: Iterable[ExportedModel]) -> None:
    """Write `<model_id>/config.json`, our row and the id of its content, and `<model_id>/checkpoint-<epoch>/` with
    weights and metrics."""
    for model in models:
        folder = folder_for(out, model.row["model_id"])
        write_plain_json(folder / "config.json", model.recorded_row)
        for row, state in model.states:
            checkpoint = folder / f"checkpoint-{row['epoch']}"
            checkpoint.mkdir()
            (checkpoint / "model.safetensors").write_bytes(save(state, metadata={"format": "pt"}))
            write_plain_json(checkpoint / "metrics.json", {name: row[name] for name in METRICS})


FOLDERS = Exporter.plain(
    write_folders,
    summary="a folder per model, with config.json and checkpoint-EPOCH/model.safetensors and metrics.json",
)
