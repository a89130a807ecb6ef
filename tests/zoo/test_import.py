"""Importing zoos: everything valid is imported unchanged, the rest is reported, and no code in the files runs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.registry import ARCHITECTURES
from zoo_generation.progress import Progress, Update
from zoobench.cli.app import main
from zoobench.populations import select_checkpoints, write_token_set
from zoobench.populations.validation import problems_of
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.content import IDS, content_id
from zoobench.zoo.importers import Imported, import_zoo, importing, writing
from zoobench.zoo.importers.recognise import recognise
from zoobench.zoo.importers.state import State
from zoobench.zoo.published import CONFIG, RESULTS, entry_names
from zoobench.zoo.schema import METRICS, MODELS
from zoobench.zoo.validation import validate_zoo

Tensors = dict[str, torch.Tensor]
EPOCHS = (0, 2, 4)
PARAMS = {CONFIG["activation"]: "tanh", CONFIG["learning_rate"]: 1e-3, "dataset::dump": "zoos/MNIST/dataset.pt"}


@cache
def network(name: str = "cnn_s", seed: int = 0, **arguments: Any) -> Tensors:
    """A state dict as a module gives it: with counters of batch norms, which are integers."""
    torch.manual_seed(seed)
    given = {"channels": 1, "classes": 10, "activation": "relu", "dropout": 0.0, "width": 1.0} | arguments
    return get_architecture(name).build(**given).state_dict()


def metrics_after(epoch: int, seed: int = 0) -> dict[str, float]:
    return {name: (1 + number + 10 * epoch + 100 * seed) / 1000 for number, name in enumerate(METRICS)}


def write_trial(trial: Path, seed: int, **variant: Any) -> Path:
    """A model in one of the variants of the layout of modelzoos.cc."""
    variant = (
        {"digits": 6, "first": 0, "told": True, "array": False, "wrapper": None, "prefix": "", "dropout": 0.0}
        | {
            "config": "params.json",
            "name": "cnn_s",
        }
        | variant
    )
    params = PARAMS | {"seed": seed, CONFIG["dropout"]: variant["dropout"]}
    rows = [
        {RESULTS[name]: value for name, value in metrics_after(epoch, seed).items()}
        | ({"training_iteration": epoch} if variant["told"] else {})
        | ({"config": params} if variant["config"] == "result.json" else {})
        for epoch in range(variant["first"], EPOCHS[-1] + 1)
    ]
    for epoch in EPOCHS:
        folder = trial / f"checkpoint_{epoch:0{variant['digits']}d}"
        folder.mkdir(parents=True)
        state = network(variant["name"], seed + epoch)
        names = entry_names("cnn_s", variant["dropout"], state)
        state = {variant["prefix"] + names[name]: tensor for name, tensor in state.items()}
        torch.save({variant["wrapper"]: state} if variant["wrapper"] else state, folder / "checkpoints")
    if variant["config"] != "result.json":
        (trial / variant["config"]).write_text(json.dumps(params))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (trial / "result.json").write_text(json.dumps(rows) if variant["array"] else lines)
    return trial


def write_models(folder: Path, count: int = 4, **variant: Any) -> Path:
    for seed in range(count):
        write_trial(folder / f"trial{seed}", seed, **variant)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("written") / "models")


@pytest.fixture
def models(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "models")
    return tmp_path / "models"


def take(folder: Path, out: Path, **options: Any) -> tuple[Imported, Zoo]:
    """The import, which must be a sound zoo of as many models and checkpoints as it says."""
    result = import_zoo(folder, out, "imported", **options)
    report, zoo = validate_zoo(out), Zoo(out)
    assert report.valid, report.problems
    assert (len(zoo.models), len(zoo.checkpoints)) == (result.models, result.checkpoints)
    assert all(fault.reason and len(fault.reason) < 500 for fault in result.faults)
    return result, zoo


def contents(zoo: Zoo) -> tuple[pd.DataFrame, torch.Tensor]:
    return zoo.checkpoints.drop(columns=["part", "row"]), zoo.weights(zoo.checkpoints)[0]


def assert_same(one: Zoo, other: Zoo, *apart_from: str) -> None:
    (table, weights), (other_table, other_weights) = contents(one), contents(other)
    pd.testing.assert_frame_equal(*(each.drop(columns=list(apart_from)) for each in (table, other_table)))
    assert torch.equal(weights, other_weights)


def assert_weights(zoo: Zoo, rows: pd.DataFrame, state: Tensors) -> None:
    """Bit for bit, entry by entry, whatever their names."""
    weights, layout = zoo.weights(rows)
    ours = layout.unflatten(weights[0])
    theirs = [tensor for tensor in state.values() if tensor.is_floating_point()]
    assert all(torch.equal(*pair) for pair in zip(ours.values(), theirs, strict=True))


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`zoobench zoo import` with these arguments: its exit code, what it printed, and what on standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(ARCHITECTURES, "_added", {})
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ["zoobench", "zoo", "import", *map(str, arguments), "--home", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capfd.readouterr()

    return run


def test_the_reference_zoo(command: Command, tmp_path: Path) -> None:
    """Each property and each weight is that of the files, read here by other means; what is missing is listed."""
    folder = shared("reference/zoo_mnist_cnn_s")
    code, output, error = command(folder)
    assert code == 0 and error == "" and "23 models with 66 checkpoints" in output
    report = json.loads((tmp_path / "results" / "import-zoo_mnist_cnn_s.json").read_text())
    assert (report["models"], report["checkpoints"], report["layout"]) == (23, 66, "modelzoos")
    faults = [(int(fault["model"].split("_")[3]), fault["checkpoint"], fault["reason"]) for fault in report["faults"]]
    assert [fault[:2] for fault in faults] == [(5, "model"), (9, 8), (17, 8), (20, 8)]
    for (*_, reason), words in zip(faults, ("no result.json", "cut short", "not all finite", "missing"), strict=True):
        assert words in reason

    zoo = Zoo(tmp_path / "zoos" / "zoo_mnist_cnn_s")
    assert validate_zoo(zoo.path).valid and set(zoo.models["architecture"]) == {"cnn_s"}
    assert set(zoo.models["dataset"]) == {"mnist"} and set(zoo.models["image_size"]) == {28}
    for row in zoo.models.to_dict("records"):
        trial = folder / json.loads(row["source"])["name"]
        params = json.loads((trial / "params.json").read_text())
        for ours, theirs in CONFIG.items():
            assert theirs not in params or row[ours] == params[theirs], ours
        results = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
        measured = {result["training_iteration"]: result for result in results}
        checkpoints = zoo.checkpoints[zoo.checkpoints["model_id"] == row["model_id"]]
        for epoch, place in zip(checkpoints["epoch"], range(len(checkpoints)), strict=True):
            rows = checkpoints.iloc[place : place + 1]
            for name in METRICS:
                assert rows[name].item() == measured[epoch][RESULTS[name]]
            file = trial / f"checkpoint_{epoch:06d}" / "checkpoints"
            assert_weights(zoo, rows, torch.load(file, weights_only=True))
    assert {json.loads(source)["name"] for source in zoo.models["source"]} == {
        trial.name for trial in folder.iterdir() if (trial / "result.json").exists()
    }
    selected = select_checkpoints([zoo])
    assert len(selected) == 66 - 23  # those after epoch 0
    write_token_set(tmp_path / "tokens", selected)
    assert list(problems_of(tmp_path / "tokens")) == []


@settings(max_examples=10)
@given(
    variant=st.fixed_dictionaries(
        {
            "digits": st.sampled_from([1, 4, 6]),
            "first": st.integers(0, 1),
            "told": st.booleans(),
            "array": st.booleans(),
            "wrapper": st.sampled_from([None, "state_dict", "model_state_dict", "model"]),
            "prefix": st.sampled_from(["", "module.", "_orig_mod.module."]),
            "dropout": st.sampled_from([0.0, 0.5]),
            "config": st.sampled_from(["params.json", "config.json", "result.json"]),
        }
    )
)
def test_variants_of_published_zoos(tmp_path_factory: pytest.TempPathFactory, variant: dict[str, Any]) -> None:
    tmp_path = tmp_path_factory.mktemp("variant")
    result, zoo = take(write_models(tmp_path / "models", 2, **variant), tmp_path / "zoo")
    assert (result.models, result.checkpoints, result.faults) == (2, 6, ())
    for index, row in enumerate(zoo.checkpoints.to_dict("records")):
        assert_weights(zoo, zoo.checkpoints[index : index + 1], network("cnn_s", row["seed"] + row["epoch"]))
        known = row["epoch"] >= variant["first"]
        for name, value in metrics_after(row["epoch"], row["seed"]).items():
            assert row[name] == value if known else pd.isna(row[name])
        assert row["dropout"] == variant["dropout"]


NETWORKS = {"resnet18": {"width": 1 / 16}, "cnn_l": {"channels": 3}, "mlp": {"width": 0.25, "classes": 7}}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json", "jsonl"])
def test_state_dicts_with_a_table(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "models"
    (folder / "files").mkdir(parents=True)
    rows = []
    for number, (name, arguments) in enumerate(NETWORKS.items()):
        for epoch in (1, 3):
            file = f"files/{name}-{epoch}.{'pt' if number else 'safetensors'}"
            state = network(name, epoch, **arguments)
            (torch.save if number else save_file)(state, folder / file)
            rows.append({"file": file, "model": name, "epoch": epoch, "learning_rate": 0.1, **metrics_after(epoch)})
    frame, table = pd.DataFrame(rows), folder / f"table.{suffix}"
    match suffix:
        case "csv":
            frame.to_csv(table, index=False)
        case "parquet":
            frame.to_parquet(table)
        case _:
            frame.to_json(table, orient="records", lines=suffix == "jsonl", double_precision=15)
    result, zoo = take(folder, tmp_path / "zoo", dataset="CIFAR10")
    assert (result.layout, result.models, result.faults) == ("table", 3, ())
    assert set(zoo.models["dataset"]) == {"cifar10"} and set(zoo.models["learning_rate"]) == {0.1}
    for index, row in enumerate(zoo.checkpoints.to_dict("records")):
        given = {"channels": 1, "classes": 10, "width": 1.0} | NETWORKS[row["architecture"]]
        assert {name: row[name] for name in given} == given
        assert {name: row[name] for name in METRICS} == pytest.approx(metrics_after(row["epoch"]), abs=1e-15)
        state = network(row["architecture"], row["epoch"], **NETWORKS[row["architecture"]])
        assert_weights(zoo, zoo.checkpoints[index : index + 1], state)


def write_shards(folder: Path, state: Tensors) -> None:
    names = list(state)
    shards = {name: f"model-{number % 3}.safetensors" for number, name in enumerate(names)}
    for shard in set(shards.values()):
        save_file({name: state[name] for name in names if shards[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def write_folders(folder: Path) -> Path:
    """Models with one checkpoint, with several, and with shards; those of cnn_s under names shifted by dropout."""
    single, several, sharded = (folder / name for name in ("single", "several", "sharded"))
    for model in (single, several / "checkpoint-2", several / "checkpoint-10", sharded):
        model.mkdir(parents=True)
    shifted = entry_names("cnn_s", 0.5, network())
    save_file({shifted[name]: tensor for name, tensor in network().items()}, single / "model.safetensors")
    for epoch in (2, 10):
        place = several / f"checkpoint-{epoch}"
        save_file(network("cnn_l", epoch), place / "model.safetensors")
        (place / "metrics.json").write_text(json.dumps(metrics_after(epoch)))
    write_shards(sharded, network("resnet18", width=1 / 16))
    for model in (single, several, sharded):
        (model / "config.json").write_text(json.dumps({"dataset": "digits", "epochs": 10, "seed": 5}))
    return folder


def test_folders_of_safetensors(tmp_path: Path) -> None:
    result, zoo = take(write_folders(tmp_path / "models"), tmp_path / "zoo")
    assert (result.layout, result.models, result.checkpoints, result.faults) == ("safetensors", 3, 4, ())
    rows = zoo.checkpoints
    assert rows["epoch"].to_list() == [2, 10, 10, 10] and rows["width"].to_list() == [1, 1, 1, 1 / 16]
    for index, state in enumerate(
        [network("cnn_l", 2), network("cnn_l", 10), network(), network("resnet18", width=1 / 16)]
    ):
        assert_weights(zoo, rows[index : index + 1], state)
    assert {name: rows[name][1] for name in METRICS} == metrics_after(10)


def test_a_width_that_is_told_is_held_against_the_shapes() -> None:
    """Of a width this small every layer has one channel, as of any width below 0."""
    tensors = {name: each for name, each in network("resnet18", width=1 / 512).items() if each.is_floating_point()}
    for told in (-1.0, float("nan"), 0.5, None, 1 / 600):
        width = recognise(State(tensors, ordered=True), {"width": told}, ["resnet18"]).width
        assert width == (told if told == 1 / 600 else 1 / 342)  # the simplest of them


def parts_of(zoo: Zoo) -> dict[str, bytes]:
    return {str(file.relative_to(zoo.path)): file.read_bytes() for file in zoo.path.glob("*/*")}


def test_the_number_of_readers_and_the_size_of_parts_change_nothing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Update] = []
    _, zoo = take(written, tmp_path / "zoo", progress=Progress(told.append))
    assert [update.done for update in told] == [0, 1, 2, 3, 4] and told[-1].of == len(parts_of(zoo)) == 4
    monkeypatch.setattr(importing, "READERS", 1)
    assert parts_of(take(written, tmp_path / "one")[1]) == parts_of(zoo)
    monkeypatch.setattr(writing, "ELEMENTS", 6 * 2464)  # two models
    small = take(written, tmp_path / "small")[1]
    assert len(parts_of(small)) == 8
    assert_same(small, zoo)


def test_no_more_weights_are_held_than_fill_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where populations alternate, and none of them fills a part."""
    for seed, name in enumerate(["cnn_s", "cnn_m"] * 3):
        write_trial(tmp_path / "models" / f"trial{seed}", seed, name=name)
    held: list[int] = []
    add = writing.PartWriter.add

    def watched(self: writing.PartWriter, model: Any, told: Any) -> Any:
        fault = add(self, model, told)
        held.append(sum(len(each.weights) for models in self._gathered.values() for each in models))
        return fault

    monkeypatch.setattr(writing.PartWriter, "add", watched)
    monkeypatch.setattr(writing, "ELEMENTS", 5 * 2464)
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    assert result.models == 6 and max(held) <= 3 and held[-1] == 0


@pytest.mark.parametrize(("method", "calls"), [("write_part", 0), ("write_part", 1), ("write_card", 0)])
def test_an_import_that_was_killed_starts_anew(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, calls: int
) -> None:
    whole = getattr(ZooSink, method)
    done: list[object] = []

    def killed(*arguments: Any, **named: Any) -> None:
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(whole(*arguments, **named))

    out = tmp_path / "zoo"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ZooSink, method, killed)
        patch.setattr(writing, "MODELS", 2)
        import_zoo(written, out, "imported")
    with pytest.raises(InputError, match="is not a zoo"):
        Zoo(out)
    assert parts_of(take(written, out)[1]) == parts_of(take(written, tmp_path / "other")[1])


def test_an_architecture_by_import_path(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_nets.py").write_text(
        "from torch import nn\ndef net(channels, classes):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 3, 3), nn.Flatten(), nn.Linear(27, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "models").mkdir()
    state = {"0.weight": torch.randn(3, 2, 3, 3), "0.bias": torch.randn(3)}
    state |= {"2.weight": torch.randn(5, 27), "2.bias": torch.randn(5)}
    torch.save(state, tmp_path / "models" / "a.pt")
    (tmp_path / "models" / "table.csv").write_text("file,epoch,dataset,architecture\na.pt,1,own,imported_nets:net\n")
    code, _, error = command(tmp_path / "models")
    assert code == 2 and "imported_nets" not in sys.modules and "name theirs with --architecture" in error
    code, _, error = command(tmp_path / "models", "--architecture", "imported_nets:net")
    assert code == 0, error
    zoo = Zoo(tmp_path / "zoos" / "models")
    row = zoo.checkpoints.iloc[0]
    assert (row["architecture"], row["channels"], row["classes"]) == ("imported_nets:net", 2, 5)
    assert_weights(zoo, zoo.checkpoints, state)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_told(command: Command, models: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ZooSink, "write_part", refuse)
    code, _, error = command(models)
    assert code == 2 and error.startswith("Error: cannot write into") and os.strerror(number) in error


def test_the_whole_row_of_an_export_is_held_against_the_rules(tmp_path: Path) -> None:
    for number, wrong in enumerate([{"width": float("nan")}, {"width": -1}, {"epochs": -1}, {"classes": 0}, {}]):
        trial = tmp_path / "models" / f"trial{number}"
        trial.mkdir(parents=True)
        row = {"model_id": f"m{number}", "status": "diverged", "dataset": "mnist", "architecture": "cnn_s"} | {
            "width": 1.0,
            "image_size": 28,
            "channels": 1,
            "classes": 10,
            "epochs": 1,
        }
        content = content_id(dict.fromkeys(MODELS.names) | row, [], None, None)
        (trial / "config.json").write_text(json.dumps(row | wrong | {IDS: content}))
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert zoo.models["model_id"].to_list() == ["m4"]
    assert [fault.reason for fault in result.faults].count("it has no checkpoints") == 4
