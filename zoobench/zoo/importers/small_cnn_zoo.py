"""The Small CNN Zoo: one folder per dataset, all checkpoints in one matrix.

weights.npy          [checkpoints, weights] float32, in Keras's order of axes
metrics.csv          one row per checkpoint, or metrics.csv.gz: `modeldir` names its model, `step` is its epoch,
                     `config.…` are hyperparameters, then accuracies and losses
layout.csv           one row per tensor: varname, start_idx, end_idx, shape
<any>_split.csv      a permutation of the checkpoints, as the NFN paper publishes one per dataset; may be missing

Its models are `small_cnn`. Their images are grayscale in [-1, 1], which zoobench has none of, so a dataset is named
`cifar10_gs` and the like.
"""

from __future__ import annotations

import gzip
import io
import math
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from zoo_generation.errors import InputError
from zoobench.zoo.importers.columns import MOST, model_columns, needed
from zoobench.zoo.importers.files import RejectedError, open_inside, read_inside
from zoobench.zoo.importers.found import Candidate, FoundCheckpoint, FoundModel, SourceLayout
from zoobench.zoo.importers.state import State
from zoobench.zoo.schema import CHECKPOINTS
from zoobench.zoo.sink import Row

TABLE = 512 << 20  # bytes of a table, unpacked, at most: those of 270,000 checkpoints have about 100 MiB
METRICS = ("metrics.csv", "metrics.csv.gz")
MEASURED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
NEEDED = ("modeldir", "step", "test_accuracy", "config.dataset", "config.activation")
IMAGES = {"mnist": (60_000, 28), "fashion_mnist": (60_000, 28), "cifar10": (50_000, 32), "svhn_cropped": (73_257, 32)}
"""Training images and their size, by the name of a dataset."""

COLUMNS = {
    "activation": "config.activation",
    "init": "config.w_init",
    "optimizer": "config.optimizer",
    "learning_rate": "config.learning_rate",
    "weight_decay": "config.l2reg",
    "dropout": "config.dropout",
    "epochs": "config.epochs",
    "seed": "config.random_seed",
}
"""Our columns, and theirs."""

NAMELESS = "(no modeldir)"
STEP, SHARE = CHECKPOINTS.field("epoch").type, CHECKPOINTS.field("train_accuracy").type
LAYERS = ("module_list.0", "module_list.2", "module_list.4", "module_list.8")
"""The layers of `small_cnn`, in order."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in a row of the matrix, and in which shape, as Keras orders its axes."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]


def _matches(folder: Path) -> bool:
    return (folder / "weights.npy").is_file() and (folder / "layout.csv").is_file() and _metrics(folder) is not None


def _metrics(folder: Path) -> Path | None:
    return next((folder / name for name in METRICS if (folder / name).is_file()), None)


def _candidates(folder: Path) -> list[Candidate]:
    try:
        weights, places, table = _matrix(folder), _layout(folder), _table(folder)
        if len(table) != len(weights):
            raise RejectedError(f"its metrics have {len(table):,} rows, and its weights.npy has {len(weights):,}")
        splits = _splits(folder, table)
        if any(place.stop > weights.shape[1] for place in places):
            raise RejectedError(f"its layout.csv goes beyond the {weights.shape[1]:,} weights of a row")
    except (RejectedError, OSError, ValueError, KeyError, OverflowError) as error:
        raise InputError(f"{folder} cannot be read as a Small CNN Zoo: {error}; download it again") from None
    models = table.groupby("modeldir", sort=False).indices
    return [
        Candidate(str(name), partial(_read, str(name), table, np.asarray(rows), weights, places, splits))
        for name, rows in models.items()
    ]


SMALL_CNN_ZOO = SourceLayout(
    _matches,
    _candidates,
    summary="the Small CNN Zoo: weights.npy, metrics.csv or metrics.csv.gz, layout.csv, and NFN's split if it is there",
    paper="Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448",
)


def _matrix(folder: Path) -> Matrix:
    """The weights, mapped: a row is read when it is asked for."""
    with open_inside(folder / "weights.npy") as file:
        version = np.lib.format.read_magic(file)
        head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = head(file)
        if len(shape) != 2 or fortran or dtype not in (np.float32, np.float64):
            raise RejectedError(f"its weights.npy is {dtype} {list(shape)}, not a matrix of floating-point numbers")
        return np.memmap(file, dtype, "r", file.tell(), shape)


def _layout(folder: Path) -> list[Place]:
    """The tensors by our names: a kernel and a bias for each layer, layers in the order of the file."""
    rows = pd.read_csv(io.BytesIO(read_inside(folder / "layout.csv"))).to_dict("records")
    theirs = dict.fromkeys(str(row["varname"]).rpartition("/")[0] for row in rows)
    if len(theirs) != len(LAYERS):
        raise RejectedError(f"its layout.csv has {len(theirs)} layers, and the zoo's networks have {len(LAYERS)}")
    ours, places = dict(zip(theirs, LAYERS, strict=True)), []
    for row in rows:
        layer, _, last = str(row["varname"]).rpartition("/")
        kind = {"kernel:0": "weight", "bias:0": "bias"}.get(last)
        shape = tuple(int(size) for size in re.findall(r"\d+", str(row["shape"])))
        place = Place(f"{ours[layer]}.{kind}", int(row["start_idx"]), int(row["end_idx"]), shape)
        if kind is None or place.start < 0 or len(shape) > 4 or place.stop - place.start != math.prod(shape):
            raise RejectedError(f"its layout.csv has a row that is not a kernel or a bias: {str(row)[:200]}")
        places.append(place)
    return sorted(places, key=lambda place: (LAYERS.index(place.name.rpartition(".")[0]), place.name.endswith("bias")))


def _table(folder: Path) -> pd.DataFrame:
    path = _metrics(folder)
    assert path is not None, "a folder with this layout has metrics"
    content = read_inside(path, TABLE)
    if path.suffix == ".gz":
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(TABLE + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise RejectedError(f"its {path.name} cannot be unpacked ({error})") from None
        if len(content) > TABLE:
            raise RejectedError(f"its {path.name} has more than {TABLE:,} bytes when it is unpacked")
    table = pd.read_csv(io.BytesIO(content), low_memory=False)
    if missing := [name for name in NEEDED if name not in table]:
        raise RejectedError(f"its {path.name} has no column '{missing[0]}'")
    return table.assign(modeldir=table["modeldir"].astype(object).where(table["modeldir"].notna(), NAMELESS))


def _splits(folder: Path, table: pd.DataFrame) -> dict[str, str]:
    """The split of each model as the NFN paper divides them; empty if there is no permutation in the folder.

    The last checkpoints, in the order of the permutation: the second half is for testing; the first half, shuffled by
    Python's generator under seed 0, is for training, but for its last fifth, which is for validation.

    Source: Zhou et al., Permutation Equivariant Neural Functionals, arXiv 2302.14040, as its code does it.
    """
    files = sorted(folder.glob("*split*.csv"))
    if len(files) > 1:
        raise RejectedError(f"it has {len(files)} files of splits ({files[0].name}, {files[1].name}); leave one")
    if not files:
        return {}
    content = pd.read_csv(io.BytesIO(read_inside(files[0])), header=None)
    order = content.to_numpy().ravel()
    if order.dtype.kind != "i" or not np.array_equal(np.sort(order), np.arange(len(table))):
        raise RejectedError(f"its {files[0].name} is not a permutation of the {len(table):,} checkpoints")
    names, steps = table["modeldir"].iloc[order].astype(str), _steps(table).iloc[order]
    done = steps == steps.max()
    done |= steps.isna() & ~names.isin(names[done])  # a model whose last step cannot be read keeps its place
    last = names[done].drop_duplicates().tolist()
    half = len(last) // 2
    places = list(range(half))
    random.Random(0).shuffle(places)
    fitted = int(0.8 * half)
    named = {"train": places[:fitted], "val": places[fitted:], "test": range(half, len(last))}
    return {last[place]: split for split, chosen in named.items() for place in chosen}


def _read(
    name: str,
    table: pd.DataFrame,
    rows: NDArray[np.int64],
    weights: Matrix,
    places: Sequence[Place],
    splits: Mapping[str, str],
) -> FoundModel:
    if name == NAMELESS:
        raise RejectedError(f"{len(rows):,} of the rows names no model in the column 'modeldir'")
    steps = {
        needed(step, STEP, "step"): int(row) for step, row in zip(table["step"].iloc[rows].tolist(), rows, strict=True)
    }
    if len(steps) < len(rows):
        raise RejectedError("its metrics have two rows of one step")
    if splits and name not in splits:
        raise RejectedError("it has no checkpoint of the last step, and so no place in the published split")
    epochs = sorted(steps)
    mine = table.iloc[[steps[epoch] for epoch in epochs]]
    records = [{str(key): _plain(value) for key, value in each.items()} for each in mine.to_dict("records")]
    config = {key.removeprefix("config."): each for key, each in records[0].items() if key.startswith("config.")}
    row, told = model_columns(_columns(config), name)
    measured = [{key: each[key] for key in MEASURED if key in each} for each in records]
    return FoundModel(
        name=name,
        row=row,
        whole=False,
        source={"layout": "small_cnn_zoo", "name": name, "params": config}
        | ({"split": splits[name]} if splits else {}),
        history=list(zip(epochs, measured, strict=True)),
        checkpoints=[
            FoundCheckpoint(epoch, metrics, partial(_state, weights, steps[epoch], places))
            for epoch, metrics in zip(epochs, measured, strict=True)
        ],
        told=told,
    )


def _columns(config: Mapping[str, Any]) -> Row:
    if config["dataset"] is None:
        raise RejectedError("its metrics do not say its config.dataset")
    dataset = str(config["dataset"])
    count, size = IMAGES.get(dataset, (None, None))
    share = 1 if config.get("train_fraction") is None else needed(config["train_fraction"], SHARE, "train_fraction")
    if share > 1:
        raise RejectedError(f"its train_fraction {share:g} is above 1")
    used = None if count is None or share == 1 else int(count * share)
    ours = {column: config.get(theirs.removeprefix("config.")) for column, theirs in COLUMNS.items()}
    named = {"dataset": f"{dataset.removesuffix('_cropped')}_gs", "architecture": "small_cnn"}
    return ours | named | {"image_size": size, "train_images": used, "schedule": "constant"}


def _state(weights: Matrix, row: int, places: Sequence[Place]) -> State:
    """The weights of a checkpoint in PyTorch's order of axes: outputs first, then inputs, height, width."""
    values, tensors = np.array(weights[row]), {}
    for place in places:
        tensor = torch.from_numpy(values[place.start : place.stop].astype(np.float32)).reshape(place.shape)
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(tensor.dim(), tuple(range(tensor.dim())))
        tensors[place.name] = tensor.permute(axes).contiguous()
    return State(tensors, ordered=True)


def _steps(table: pd.DataFrame) -> pd.Series:
    """The steps as numbers, NaN for other cells: a single one that is a text makes texts of all."""
    steps = pd.to_numeric(table["step"], errors="coerce")
    return steps.where((steps >= 0) & (steps <= MOST) & (steps % 1 == 0))


def _plain(value: Any) -> Any:
    """A cell as Python's own number or text; None if it is empty."""
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
