"""The CNN Wild Park, in small copies of its published layout, made here."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau
from sklearn.metrics import r2_score

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.architectures.wild_cnn import WildCNN, WildLayer, wild_cnn, wild_name
from zoobench.evaluation import Plan, Results
from zoobench.evaluation.cells import prepare
from zoobench.evaluation.evaluate import training_set_of
from zoobench.methods import Method, Unlearned
from zoobench.methods.registry import get_method
from zoobench.methods.statnn import Statnn
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.tasks.probe import regress
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo.importers import import_zoo
from zoobench.zoo.validation import validate_zoo
from zoobench.zoo.workspace import Workspace

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
    torch.manual_seed(0)
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
    predicted = regress(features, truths, models, others)
    found = pooled.set_index("metric")["value"]
    assert found["tau:test_accuracy"] == pytest.approx(kendalltau(truth, predicted).statistic)
    assert found["r2:test_accuracy"] == pytest.approx(r2_score(truth, predicted))


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
