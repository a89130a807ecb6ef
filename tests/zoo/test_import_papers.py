"""Zoos that papers compare on, in small copies of their published layouts, made here."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.architectures.wild_cnn import WildCNN, WildLayer, wild_cnn, wild_name
from zoo_generation.networks.module import runnable_module
from zoobench.evaluation import Plan, Results
from zoobench.evaluation.cells import prepare
from zoobench.evaluation.evaluate import training_set_of
from zoobench.methods import Method, Unlearned
from zoobench.methods.registry import get_method
from zoobench.methods.statnn import Statnn
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.studies.study import read_study
from zoobench.tasks.base import Setting
from zoobench.tasks.probe import regress
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
        ("metrics.csv.gz", gzip.compress(b"modeldir,step\na,1\n"), "has no column 'test_accuracy'"),
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


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"channels": [3, 8, 4], "kernel_size": [3, 5], "residual": [-1, -1], "activation": ["relu", "gelu"]},
    "wider": {
        "channels": [3, 4, 8, 6],
        "kernel_size": [3, 3, 7],
        "residual": [-1, -1, 0],
        "activation": ["tanh", "leaky_relu", "none"],
    },
    "even": {
        "channels": [3, 4, 8, 4],
        "kernel_size": [3, 3, 3],
        "residual": [-1, -1, 0],
        "activation": ["tanh", "tanh", "tanh"],
    },
}
SPLIT_OF = {"plain": "train", "wider": "val", "even": "test"}


class Node:
    """As OmegaConf pickles a configuration: a container's `_content`, a value's `_val`, and the way back up."""

    def __init__(self, value: Any, parent: Node | None = None) -> None:
        self._parent = parent
        if isinstance(value, dict):
            self._content: Any = {key: Node(each, self) for key, each in value.items()}
        elif isinstance(value, list):
            self._content = [Node(each, self) for each in value]
        else:
            self._val = value


def park(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, torch.Tensor]]:
    """A copy of the CNN Wild Park: three networks, two checkpoints each, one of them with OmegaConf's configuration."""
    module = types.ModuleType("omegaconf")
    module.Node = Node  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "omegaconf", module)
    monkeypatch.setattr(Node, "__module__", "omegaconf")
    listed: dict[str, dict[str, list[Any]]] = {
        split: {"path": [], "score": [], "step": []} for split in SPLIT_OF.values()
    }
    states = {}
    for number, (name, config) in enumerate(CONFIGS.items()):
        depth = len(config["kernel_size"])
        whole = {"n_layers": depth, "n_classes": 10, "stride": [1] * depth} | config
        whole["padding"] = [kernel // 2 for kernel in config["kernel_size"]]
        for step in (0, 9):
            network = WildCNN(3, 10, layers_of(config))
            path = f"cifar10_zooV2/trial_{name}/checkpoint_{step:06d}/checkpoint.pt"
            (folder / "cnn_wild" / path).parent.mkdir(parents=True)
            content = {"model": network.state_dict(), "optimizer": {"state": {}}, "iteration": step}
            content["config"] = Node(whole) if name == "wider" else whole
            torch.save(content, folder / "cnn_wild" / path)
            states[f"{name} {step + 1}"] = network.state_dict()
            for key, value in {"path": path, "score": 0.2 + 0.01 * number + 0.03 * step, "step": step}.items():
                listed[SPLIT_OF[name]][key].append(value)
    (folder / "cnn_park_splits.json").write_text(json.dumps(listed))
    return states


Damage = Callable[[Path, dict[str, dict[str, list[Any]]]], object]


def with_config(**given: Any) -> Damage:
    """The config of the first checkpoint of `plain` with other values."""

    def damage(folder: Path, listed: dict[str, dict[str, list[Any]]]) -> None:
        file = folder / "cnn_wild" / listed["train"]["path"][0]
        content = torch.load(file)
        torch.save(content | {"config": content["config"] | given}, file)

    return damage


def with_cell(column: str, cell: Any) -> Damage:
    return lambda folder, listed: listed["train"][column].__setitem__(0, cell)


def sharing(levels: int = 8, each: int = 30) -> list[Any]:
    """A list of lists of lists, which a pickle has once a level, and which has 30 ** 8 items if it is written out."""
    shared: list[Any] = []
    for _ in range(levels):
        shared = [shared] * each
    return shared


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (with_config(channels=sharing()), "the channels of its config are 30; networks of the park have 16"),
        (with_config(channels=[3, *sharing(each=2)]), "the channels of its config are not all whole numbers"),
        (with_config(channels=[3, float("inf"), 4]), "the channels of its config are not all whole numbers"),
        (with_config(residual=[-1, 1 << 100_000]), "the residual of its config are not all whole numbers"),
        (with_config(activation=["relu", None]), "the activation of its config are not all names"),
        (with_config(channels=[3, 8]), "does not say the same number of layers"),
        (with_config(padding=None), "has no config with the lists"),
        (with_cell("step", float("inf")), "its step inf is not a whole number"),
        (with_cell("step", "first"), "its step 'first' is not a number"),
        (with_cell("step", 2**63 - 1), "its step 9223372036854775807 is not a number from 0"),
        (with_cell("score", None), "its score None is not a number"),
        (with_cell("score", "good"), "its score 'good' is not a number"),
    ],
)
def test_a_network_of_the_park_that_is_damaged_is_left_out_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage, sentence: str
) -> None:
    park(tmp_path / "park", monkeypatch)
    listed = json.loads((tmp_path / "park" / "cnn_park_splits.json").read_text())
    damage(tmp_path / "park", listed)
    (tmp_path / "park" / "cnn_park_splits.json").write_text(json.dumps(listed))
    imported = import_zoo(tmp_path / "park", tmp_path / "zoo")
    (fault,) = imported.faults
    assert fault.model.endswith("trial_plain") and re.search(sentence, fault.reason) and imported.models == 2


def test_what_a_park_does_not_need_may_be_shared_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    park(tmp_path / "park", monkeypatch)
    listed = json.loads((tmp_path / "park" / "cnn_park_splits.json").read_text())
    with_config(notes=sharing())(tmp_path / "park", listed)
    assert import_zoo(tmp_path / "park", tmp_path / "zoo").models == 3


def layers_of(config: dict[str, Any]) -> list[WildLayer]:
    rows = zip(config["channels"][1:], config["kernel_size"], config["activation"], config["residual"], strict=True)
    return [WildLayer(width, kernel, name, None if source < 0 else source) for width, kernel, name, source in rows]


def test_the_wild_park_comes_in_with_its_architectures_and_its_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = park(tmp_path / "park", monkeypatch)
    imported = import_zoo(tmp_path / "park", tmp_path / "zoo")
    assert (imported.layout, imported.models, imported.checkpoints, imported.faults) == ("cnn_wild_park", 3, 6, ())
    assert not validate_zoo(imported.zoo).problems
    table = imported.zoo.checkpoints
    for name, config in CONFIGS.items():
        rows = table[table["architecture"] == wild_name(layers_of(config))].sort_values("epoch")
        assert rows["epoch"].tolist() == [1, 10] and rows["activation"].isna().all() == (name != "even")
        weights, layout = imported.zoo.weights(rows)
        for row, vector in zip(rows.itertuples(), weights, strict=True):
            expected = states[f"{name} {row.epoch}"]
            assert all(torch.equal(part, expected[entry]) for entry, part in layout.unflatten(vector).items())
    populations = TokenSet.load(select_checkpoints([imported.zoo])).populations
    found = {each.table["architecture"].iloc[0]: set(each.table["split"]) for each in populations}
    assert found == {wild_name(layers_of(CONFIGS[name])): {split} for name, split in SPLIT_OF.items()}
    values = populations[0].table["test_accuracy"].to_numpy(float)  # and what takes any depths reads them
    assert Statnn().predict([populations[0].known()], values, populations[1].blind()).shape == (2,)


FITTED = ["train", "val"]


class Moments(Unlearned):
    """Features of any architecture."""

    def embed(self, population: Population) -> torch.Tensor:
        return torch.stack([population.weights.mean(1), population.weights.abs().mean(1)], 1)


def test_one_reader_is_scored_on_the_test_models_of_all_architectures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, split, width in (("more", "train", 6), ("last", "test", 12)):
        monkeypatch.setitem(CONFIGS, name, CONFIGS["plain"] | {"channels": [3, width, 4]})
        monkeypatch.setitem(SPLIT_OF, name, split)
    park(tmp_path / "park", monkeypatch)
    training = training_set_of([import_zoo(tmp_path / "park", tmp_path / "zoo").zoo])
    methods = {Method("moments", Moments, random=False, learns=False): None}
    methods[get_method("layer_statistics")] = None  # whose features differ in number
    task = PropertyPrediction(probe="sources", properties=("test_accuracy",))
    plan = Plan.of(methods, [training], training.origins, [task], [0])
    cells = prepare(plan.origins, Workspace(tmp_path))
    for cell in plan.cells:
        cells.measure(cell)
    pooled = Results(plan, cells, {}).pooled()
    assert set(pooled["method"]) == {"moments"} and set(pooled["targets"]) == {2}
    populations = [cells.population(origin) for origin in training.origins]
    known, asked = ([each.select(each.table["split"].isin(of)) for each in populations] for of in (FITTED, ["test"]))
    truths, truth = (pd.concat([each.table for each in some])["test_accuracy"].to_numpy() for some in (known, asked))
    features, others = (torch.cat([Moments().embed(each) for each in some]).numpy() for some in (known, asked))
    models = pd.concat([each.table["model_id"] for each in known]).to_numpy()
    expected = kendalltau(truth, regress(features, truths, models, others)).statistic
    found = pooled.set_index("metric")["value"]
    assert found["tau:test_accuracy"] == pytest.approx(expected) and abs(expected) > 0


def test_a_wild_network_adds_the_channels_that_both_layers_have() -> None:
    config = CONFIGS["wider"]
    network = get_architecture(wild_name(layers_of(config))).build(
        channels=3, classes=10, activation="relu", dropout=0.0, width=1.0
    )
    images = torch.randn(2, 3, 12, 12)
    first = torch.tanh(network.layers[0](images))
    second = torch.nn.functional.leaky_relu(network.layers[1](first))
    third = network.layers[2](second)
    third[:, :4] += first
    torch.testing.assert_close(network(images), network.fc(third.mean((2, 3))))


@pytest.mark.parametrize("name", ["8x3q", "8x4r", "999x3r", "8x3r-8x3r+0", "8x3r-", "-".join(["8x3r"] * 17)])
def test_names_of_wild_networks_are_bounded(name: str) -> None:
    with pytest.raises(InputError, match="has a layer"):
        wild_cnn(f"wild_cnn-{name}")
