"""The Small CNN Zoo, in small copies of its published layout, made here."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from zoo_generation.errors import InputError
from zoo_generation.networks.module import runnable_module
from zoobench.evaluation.evaluate import training_set_of
from zoobench.methods.statnn import Statnn
from zoobench.populations import TokenSet, select_checkpoints
from zoobench.studies.study import read_study
from zoobench.tasks.base import Setting
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo.importers import Imported, import_zoo
from zoobench.zoo.validation import validate_zoo
from zoobench.zoo.workspace import Workspace

MODELS, STEPS = 20, (0, 3, 86)
SHAPES = {
    "conv2d/bias:0": (16,),
    "conv2d/kernel:0": (3, 3, 1, 16),
    "conv2d_1/bias:0": (16,),
    "conv2d_1/kernel:0": (3, 3, 16, 16),
    "conv2d_2/bias:0": (16,),
    "conv2d_2/kernel:0": (3, 3, 16, 16),
    "dense/bias:0": (10,),
    "dense/kernel:0": (16, 10),
}
"""Of the published layout.csv, biases first."""

LAYOUT_CSV = pd.DataFrame(
    [
        {
            "varname": f"sequential/{name}",
            "start_idx": start,
            "end_idx": stop,
            "size": stop - start,
            "shape": str(shape),
        }
        for (name, shape), start, stop in zip(
            SHAPES.items(),
            np.cumsum([0, 16, 144, 16, 2304, 16, 2304, 10]),
            np.cumsum([16, 144, 16, 2304, 16, 2304, 10, 160]),
            strict=True,
        )
    ]
)


def written(folder: Path, *, packed: bool = True, split: bool = True) -> Path:
    """A copy of the Small CNN Zoo with `MODELS` models; its permutation is named as NFN's are."""
    folder.mkdir()
    numbers = np.random.default_rng(0)
    rows = [(model, step) for model in range(MODELS) for step in STEPS]
    np.save(folder / "weights.npy", numbers.standard_normal((len(rows), 4970)).astype(np.float32))
    table = pd.DataFrame(
        {
            "config.activation": ["relu" if model % 2 else "tanh" for model, _ in rows],
            "config.dataset": "cifar10",
            "config.dropout": 0.2,
            "config.epochs": 86,
            "config.l2reg": 1e-4,
            "config.learning_rate": [0.001 * (1 + model % 3) for model, _ in rows],
            "config.optimizer": "adam",
            "config.random_seed": 42,
            "config.train_fraction": [(0.1, 0.25, 0.5, 1.0)[model % 4] for model, _ in rows],
            "config.w_init": "he_normal",
            "modeldir": [f"/somewhere/{model}" for model, _ in rows],
            "step": [step for _, step in rows],
            "test_accuracy": numbers.uniform(0.2, 0.9, len(rows)),
            "test_loss": 1.0,
            "train_accuracy": numbers.uniform(0.2, 0.9, len(rows)),
            "train_loss": 0.5,
        }
    )
    text = table.to_csv().encode()  # with a first column that numbers the rows
    name = "metrics.csv.gz" if packed else "metrics.csv"
    (folder / name).write_bytes(gzip.compress(text) if packed else text)
    LAYOUT_CSV.to_csv(folder / "layout.csv", index=False)
    if split:
        order = "".join(f"{row}\n" for row in numbers.permutation(len(rows)))
        (folder / "cifar10_split.csv").write_text(order)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Imported]:
    folder = written(tmp_path_factory.mktemp("published") / "cifar10")
    return folder, import_zoo(folder, tmp_path_factory.mktemp("zoos") / "small")


def keras(vector: np.ndarray, images: torch.Tensor, activation: Any) -> torch.Tensor:
    """The network as Keras defines it, with images [batch, height, width, 1], one pixel of the output at a time."""
    tensors = {}
    for row in LAYOUT_CSV.itertuples():
        tensors[row.varname.partition("/")[2]] = torch.from_numpy(vector[row.start_idx : row.end_idx].copy()).reshape(
            SHAPES[row.varname.partition("/")[2]]
        )
    found = images
    for layer in ("conv2d", "conv2d_1", "conv2d_2"):
        size = (found.shape[1] - 3) // 2 + 1
        rows = [
            torch.stack(
                [
                    torch.einsum(
                        "bhwi,hwio->bo", found[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3], tensors[f"{layer}/kernel:0"]
                    )
                    for x in range(size)
                ],
                1,
            )
            for y in range(size)
        ]
        found = activation(torch.stack(rows, 1) + tensors[f"{layer}/bias:0"])
    return found.mean((1, 2)) @ tensors["dense/kernel:0"] + tensors["dense/bias:0"]


def test_small_cnns_come_in_as_the_functions_that_they_are(small: tuple[Path, Imported]) -> None:
    folder, imported = small
    assert (imported.layout, imported.models, imported.checkpoints) == ("small_cnn_zoo", MODELS, 3 * MODELS)
    assert not imported.faults and not validate_zoo(imported.zoo).problems
    matrix = np.load(folder / "weights.npy")
    metrics = pd.read_csv(folder / "metrics.csv.gz")
    table = imported.zoo.checkpoints
    weights, layout = imported.zoo.weights(table)
    images = torch.randn(2, 32, 32, 1)
    places = metrics.set_index(["test_accuracy"]).index
    for row in (0, 7, 31):
        place = int(np.argmin(np.abs(places - table["test_accuracy"][row])))
        module = runnable_module(table.iloc[row])
        module.load_state_dict(layout.unflatten(weights[row]))
        activation = {"relu": torch.relu, "tanh": torch.tanh}[metrics["config.activation"][place]]
        expected = keras(matrix[place], images, activation)
        torch.testing.assert_close(module(images.permute(0, 3, 1, 2)), expected, atol=1e-4, rtol=1e-4)
    first = table.iloc[0]
    assert (first["dataset"], first["architecture"], first["image_size"], first["channels"]) == (
        "cifar10_gs",
        "small_cnn",
        32,
        1,
    )
    assert set(table["train_images"].dropna()) == {5000, 12500, 25000} and table["train_images"].isna().any()
    assert set(table["epoch"]) == set(STEPS) and set(table["weight_decay"]) == {1e-4}


def split_of_nfn(folder: Path) -> dict[str, list[float]]:
    """Test accuracies of the last checkpoints in each split, step by step as the paper's code goes."""
    metrics = pd.read_csv(folder / "metrics.csv.gz")
    shuffled = metrics.iloc[pd.read_csv(folder / "cifar10_split.csv", header=None).values.flatten()]
    final = shuffled[shuffled["step"] == 86].reset_index(drop=True)
    half = int(0.5 * len(final))
    rest = list(range(half))
    random.Random(0).shuffle(rest)
    point = int(0.8 * len(rest))
    places = {"train": rest[:point], "val": rest[point:], "test": list(range(half, len(final)))}
    return {split: sorted(final["test_accuracy"][chosen]) for split, chosen in places.items()}


def test_models_keep_their_published_split_and_are_compared_at_their_last_step(small: tuple[Path, Imported]) -> None:
    folder, imported = small
    (population,) = TokenSet.load(select_checkpoints([imported.zoo], first_epoch=0)).populations
    last = population.table[population.table["epoch"] == 86]
    found = {split: sorted(rows["test_accuracy"]) for split, rows in last.groupby("split")}
    assert found == split_of_nfn(folder) and {split: len(rows) for split, rows in found.items()} == {
        "train": 8,
        "val": 2,
        "test": 10,
    }
    task, setting = PropertyPrediction(checkpoints="last", properties=("test_accuracy",)), Setting(population)
    answer = task.ask(Statnn(), setting)
    task.form(setting).check(answer)
    assert sorted(task.judge(answer, setting)["truth"]) == found["test"]


@pytest.mark.parametrize(("models", "enough"), [(8, True), (9, False)])
def test_plans_count_the_training_models_of_published_splits(
    small: tuple[Path, Imported], tmp_path: Path, models: int, enough: bool
) -> None:
    """Eight of twenty, and not seven tenths of them."""
    zoo = small[1].zoo
    (kind,) = training_set_of([zoo]).origins[0].zoos[0].kinds
    (population,) = TokenSet.load(select_checkpoints([zoo])).populations
    assert kind.training_models == population.split("train").table["model_id"].nunique() == 8
    text = json.dumps(
        {
            "name": "x",
            "zoos": {"small": {"path": str(zoo.path)}},
            "compositions": {"some": {"zoos": ["small"], "models": models}},
        }
    )
    (tmp_path / "study.yaml").write_text(text)
    study = read_study(tmp_path / "study.yaml")
    with nullcontext() if enough else pytest.raises(InputError, match=r"takes 9 training models .* which has 8"):
        study.plan(Workspace(tmp_path))


def test_without_a_permutation_models_are_split_as_any(tmp_path: Path) -> None:
    imported = import_zoo(written(tmp_path / "mnist", packed=False, split=False), tmp_path / "zoo")
    (population,) = TokenSet.load(select_checkpoints([imported.zoo])).populations
    models = population.table.drop_duplicates("model_id")
    assert models["split"].value_counts().to_dict() == {"train": 14, "val": 3, "test": 3}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cifar10_split.csv", "0\n1\n1\n", "is not a permutation of the 60 checkpoints"),
        ("metrics.csv.gz", gzip.compress(b"modeldir,step\na,1\n", mtime=0), "has no column 'test_accuracy'"),
        ("metrics.csv.gz", b"\x1f\x8bdamaged", "cannot be read as a Small CNN Zoo"),
        ("weights.npy", b"\x93NUMPY\1\0", "cannot be read as a Small CNN Zoo"),
        ("layout.csv", 'varname,start_idx,end_idx,shape\na/kernel:0,0,4,"(2, 2)"\n', "has 1 layers"),
        ("layout.csv", LAYOUT_CSV.assign(end_idx=LAYOUT_CSV["end_idx"] + 1).to_csv(), "not a kernel or a bias"),
        (
            "layout.csv",
            LAYOUT_CSV.assign(**{c: LAYOUT_CSV[c] + 99 for c in ("start_idx", "end_idx")}).to_csv(),
            "goes beyond",
        ),
    ],
)
def test_what_is_damaged_is_refused_in_a_sentence(
    small: tuple[Path, Imported], tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in small[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=sentence):
        import_zoo(folder, tmp_path / "zoo")


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        ("step", "", "its step nan is not a number"),
        ("step", "inf", "its step inf is not a whole number"),
        ("step", "last", "its step 'last' is not a number"),
        ("step", "1e300", "its step 1e\\+300 is beyond 64 bits"),
        ("config.train_fraction", "inf", "its train_fraction inf is not a number from 0"),
        ("config.train_fraction", "half", "its train_fraction 'half' is not a number"),
        ("config.train_fraction", "60000", "its train_fraction 60000 is above 1"),
        ("config.dataset", "", "do not say its config.dataset"),
        ("modeldir", "", "1 of the rows names no model"),
    ],
)
def test_a_model_with_a_damaged_cell_is_left_out_and_no_other(
    small: tuple[Path, Imported], tmp_path: Path, column: str, cell: str, sentence: str
) -> None:
    """Also where the cell makes texts of its whole column, and where it is of the last step, on which splits rest."""
    folder, whole = small
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    metrics = pd.read_csv(folder / "metrics.csv.gz", dtype=str)
    at = "86" if column == "step" else "0"  # a model's settings are those of its first step
    row = metrics.index[metrics["step"] == at][4]
    metrics.loc[row, column] = cell
    (damaged / "metrics.csv.gz").write_bytes(gzip.compress(metrics.to_csv(index=False).encode()))
    imported = import_zoo(damaged, tmp_path / "zoo")
    (fault,) = {each.reason for each in imported.faults if each.checkpoint is None}
    assert re.search(sentence, fault)
    assert imported.models == MODELS - (column != "modeldir")
    assert splits_in(imported).items() <= splits_in(whole).items()


def splits_in(imported: Imported) -> dict[str, str]:
    """The split of each model, by the name in its files."""
    told = [json.loads(each) for each in imported.zoo.models["source"]]
    return {each["name"]: each["split"] for each in told}
