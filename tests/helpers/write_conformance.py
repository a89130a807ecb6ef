"""Write the conformance vectors of docs/format.md: `python tests/helpers/write_conformance.py`.

They come from zoobench itself; `test_format.py` holds them against a reader that is written from the page alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import zoobench
from zoo_generation.networks.architectures import Layout
from zoobench.populations import Tokenizer, select_checkpoints, write_token_set
from zoobench.populations.card import Dtype
from zoobench.populations.parquet import DTYPES
from zoobench.zoo import Zoo, ZooSink, split_models
from zoobench.zoo.schema import entries_of
from zoobench.zoo.sink import Part

Row = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]

FOLDER = Path(zoobench.__file__).parent / "conformance"

CONVOLUTIONAL: Shapes = {
    "conv.weight": (3, 2, 2, 2),
    "conv.bias": (3,),
    "norm.weight": (3,),
    "norm.bias": (3,),
    "norm.running_mean": (3,),
    "norm.running_var": (3,),
    "up.weight": (3, 2, 2, 2),  # a transposed convolution: its bias is of another length than its first size
    "up.bias": (2,),
    "head.weight": (4, 5),
    "head.bias": (4,),
}
LINEAR: Shapes = {
    "scale": (),
    "in.weight": (2, 6),
    "layer_norm.weight": (2, 2),
    "layer_norm.bias": (2, 2),
    "cell.weight_ih": (4, 2),
    "cell.weight_hh": (4, 1),
    "cell.bias_ih": (4,),
    "cell.bias_hh": (4,),
    "empty": (0, 3),
}
CASES = [
    (shapes, token_size, batch_norm)
    for shapes in (CONVOLUTIONAL, LINEAR)
    for token_size in (0, 1, 4, 9, 64)
    for batch_norm in (True, False)
    if batch_norm or shapes is CONVOLUTIONAL
]
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy")


def model(number: int, architecture: str, status: str = "trained") -> Row:
    """A row of models; every third has null wherever it is allowed."""
    known = {
        "train_images": 3000,
        "activation": "relu",
        "init": "kaiming_uniform",
        "optimizer": "adam",
        "learning_rate": 0.001 * (number + 1),
        "weight_decay": 0.0,
        "dropout": 0.25,
        "batch_size": 32,
        "schedule": "onecycle",
        "augment": bool(number % 2),
        "seed": number,
        "order_seed": 0,
        "seconds": 1.5,
        "source": json.dumps({"layout": "table", "name": f"ä{number}", "params": {"seed": number}, "results": []}),
    }
    return {
        "model_id": f"{0xC0FFEE0000000000 + number:016x}",
        "status": status,
        "dataset": "digits",
        "architecture": architecture,
        "width": 0.5,
        "image_size": 8,
        "epochs": 2,
        "channels": 1,
        "classes": 4,
        **({} if number % 3 == 2 else known),
    }


def checkpoints(of: Row) -> list[Row]:
    """Rows of a model's checkpoints, at epochs 0 to 2; some metrics are null."""
    number = int(of["model_id"][-4:], 16)
    return [
        {"model_id": of["model_id"], "epoch": epoch}
        | {name: (number + place) / 64 / (epoch + 1) for place, name in enumerate(METRICS) if (number + place) % 5}
        for epoch in range(3)
    ]


def write_zoo(path: Path) -> tuple[list[Row], list[Row]]:
    """Four parts; returns the rows of models, and those of checkpoints with their weights."""
    models = [model(number, "example:convolutional") for number in range(8)]
    models += [model(number, "example:linear", "at_chance" if number == 9 else "trained") for number in range(8, 12)]
    sink, written = ZooSink(path), []
    for members, shapes in ((models[:5], CONVOLUTIONAL), (models[5:8], CONVOLUTIONAL), (models[8:], LINEAR)):
        layout = Layout.of_shapes(shapes)
        rows = [row for each in members for row in checkpoints(each)]
        weights = torch.randn(len(rows), layout.size, generator=torch.Generator().manual_seed(len(written)))
        sink.write_part(Part(members, rows, weights, layout))
        written += [row | {"weights": flat.tolist()} for row, flat in zip(rows, weights, strict=True)]
    models.append(model(12, "example:linear", "diverged"))
    sink.write_part(Part(models[-1:], [], None, None))
    sink.write_card("conformance", {})
    return models, written


def write_tokens(path: Path, zoo: Path, dtype: Dtype, checkpoints: list[Row]) -> list[Row]:
    """A token set; returns its rows."""
    weights = {(row["model_id"], row["epoch"]): torch.tensor(row["weights"]) for row in checkpoints}
    tokens = write_token_set(path, select_checkpoints([Zoo(zoo)], token_size=5), dtype)
    return [
        {
            "population": population.name,
            "model_id": row.model_id,
            "epoch": row.epoch,
            "split": row.split,
            "weights": weights[row.model_id, row.epoch].to(DTYPES[dtype][0]).tolist(),
        }
        for population in tokens.populations
        for row in population.table.itertuples()
    ]


def case(shapes: Shapes, token_size: int, batch_norm: bool) -> Row:
    """A tokenizer's output for a layout."""
    layout = Layout.of_shapes(shapes)
    tokenizer = Tokenizer.of(layout, token_size, batch_norm)
    return {
        "entries": entries_of(layout),
        "token_size": token_size,
        "batch_norm": batch_norm,
        "size": tokenizer.token_size,
        "layers": tokenizer.layers,
        "index": tokenizer.index.where(tokenizer.mask, -1).tolist(),
        "positions": tokenizer.positions.tolist(),
    }


def splits(seed: int, count: int) -> Row:
    """How models are split; some of these numbers of models fall on the halves that are rounded."""
    ids = [f"{0xC0FFEE0000000000 + number:016x}" for number in range(count)]
    return {"seed": seed, "ids": ids, "splits": split_models(pd.Series(ids), seed).tolist()}


def main() -> None:
    """Write all of them anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    models, written = write_zoo(FOLDER / "zoo")
    expected: Row = {"zoo": {"models": models, "checkpoints": written}}
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16")
    for dtype in dtypes:
        expected[f"tokens-{dtype}"] = write_tokens(FOLDER / f"tokens-{dtype}", FOLDER / "zoo", dtype, written)
    write("expected.json", expected)
    write("tokens.json", {"cases": [case(*each) for each in CASES]})
    write("splits.json", {"cases": [splits(seed, count) for seed, count in ((0, 1), (0, 5), (1, 10), (-3, 30))]})


def write(name: str, content: Row) -> None:
    """JSON, without spaces."""
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
