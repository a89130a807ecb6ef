"""Models of others: which of them are one, which weights are of which rows, and what their networks say themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from zoo.test_import import network, take, write_trial
from zoo.test_import_values import by_file, notes, reasons, take_table

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture, import_architecture
from zoo_generation.networks.registry import ARCHITECTURES
from zoobench.zoo import Zoo
from zoobench.zoo.exporters import export_zoo
from zoobench.zoo.importers import import_zoo

Row = dict[str, Any]
MODEL: Row = {"activation": "tanh", "dataset": "mnist", "test_accuracy": 0.5}


def filled(number: float) -> dict[str, torch.Tensor]:
    """A network of this number alone."""
    return {name: torch.full_like(tensor, number) for name, tensor in network().items()}


def weights_of(zoo: Zoo) -> list[float]:
    """The first weight of each checkpoint."""
    return [float(weight) for weight in zoo.weights(zoo.checkpoints)[0][:, 0]]


def ids(zoo: Zoo) -> list[str]:
    return list(by_file(zoo, "model_id"))


# Which model it is


def test_ids_are_of_weights_and_measurements(tmp_path: Path) -> None:
    """Whatever files are called, however they are laid out, and whatever else is said of them."""
    rows = [MODEL | {"seed": seed} for seed in range(3)]
    _, one = take_table(tmp_path / "one", rows)
    assert len(set(ids(one))) == 3
    _, said = take_table(tmp_path / "said", [row | {"learning_rate": 0.1, "note": "x"} for row in rows])
    assert ids(said) == ids(one)
    folders = tmp_path / "folders"
    for seed in range(3):
        (folders / f"other{seed}").mkdir(parents=True)
        save_file(network(seed=seed), folders / f"other{seed}" / "model.safetensors")
        (folders / f"other{seed}" / "config.json").write_text(json.dumps(MODEL | {"epochs": 5}))
        (folders / f"other{seed}" / "metrics.json").write_text(json.dumps({"test_acc": 0.5}))
    assert ids(take(folders, tmp_path / "from-folders")[1]) == ids(one)

    _, measured = take_table(tmp_path / "measured", [row | {"test_accuracy": 0.6} for row in rows])
    _, later = take_table(tmp_path / "later", [row | {"epoch": 6} for row in rows])
    (tmp_path / "changed" / "models").mkdir(parents=True)
    for seed in range(3):
        torch.save(network(seed=100 + seed), tmp_path / "changed" / "models" / f"m{seed}.pt")
    shutil.copy(tmp_path / "one" / "models" / "table.json", tmp_path / "changed" / "models")
    _, changed = take(tmp_path / "changed" / "models", tmp_path / "changed" / "zoo")
    assert len({*ids(one), *ids(measured), *ids(later), *ids(changed)}) == 12
    assert one.card["imported"]["ids"] == "content/1"


def test_equal_weights_of_models_that_differ_otherwise_are_two_models(tmp_path: Path) -> None:
    """With a note; the same model again gives a note, and is imported once."""
    (tmp_path / "models").mkdir()
    for number in range(3):
        torch.save(network(), tmp_path / "models" / f"m{number}.pt")
    rows = [MODEL | {"file": f"m{number}.pt", "epoch": 1, "seed": number % 2} for number in range(3)]
    (tmp_path / "models" / "table.json").write_text(json.dumps(rows))
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert by_file(zoo, "seed") == [0, 1] and len(set(ids(zoo))) == 2
    assert "those of another model, which differs in seed: m0.pt" in notes(result)
    assert reasons(result) == "its weights and measurements are those of m0.pt, which came in"
    for target in ("modelzoos", "safetensors"):
        export_zoo(zoo, target, tmp_path / target)
        assert set(ids(take(tmp_path / target, tmp_path / f"{target}-zoo")[1])) == set(ids(zoo))


def altered_weights(model: Path) -> None:
    file = next(model.glob("*/model.safetensors"))
    save_file(filled(1), file)


def altered_metrics(model: Path) -> None:
    next(model.glob("*/metrics.json")).write_text(json.dumps({"test_accuracy": 0.7}))


def without_content(model: Path) -> None:
    """As exports were before they recorded it."""
    config = json.loads((model / "config.json").read_text())
    del config["content/1"]
    (model / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (altered_weights, "differ from the exported ones"),
        (altered_metrics, "differ from the exported ones"),
        (without_content, "does not say to which weights"),
    ],
)
def test_an_export_keeps_its_ids_with_its_content(tmp_path: Path, harm: Callable[[Path], None], words: str) -> None:
    _, zoo = take_table(tmp_path / "one", [MODEL, MODEL])
    export_zoo(zoo, "safetensors", tmp_path / "out")
    harm(tmp_path / "out" / zoo.models["model_id"][0])
    result, back = take(tmp_path / "out", tmp_path / "back")
    altered = harm is not without_content  # of content ids the same content gives the same
    kept = set(zoo.models["model_id"]) & set(back.models["model_id"])
    assert len(kept) == (1 if altered else 2) and words in notes(result)


# Ray Tune


def write_ray(trial: Path, rows: list[Row], saves: dict[str, float], file: str = "checkpoints") -> Path:
    """A trial with rows of results, and directories of checkpoints by the number that their weights are."""
    trial.mkdir(parents=True)
    for name, number in saves.items():
        (trial / name).mkdir()
        torch.save(filled(number), trial / name / file)
    (trial / "params.json").write_text(json.dumps({"model::nlin": "tanh", "dataset": "mnist"}))
    (trial / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return trial.parent


def rows_from(first: int, last: int, **saved: int) -> list[Row]:
    """Rows of iterations, whose accuracy is a hundredth of them; saved: the iteration of each checkpoint."""
    named = {iteration: name for name, iteration in saved.items()}
    return [
        {"training_iteration": each, "test_acc": each / 100}
        | ({"checkpoint_dir_name": named.get(each)} if saved else {})
        for each in range(first, last + 1)
    ]


@pytest.mark.parametrize(
    ("rows", "saves", "epochs"),
    [
        (rows_from(1, 6, checkpoint_000000=2, checkpoint_000001=4), {0: 2, 1: 4}, [2, 4]),
        (rows_from(1, 6, checkpoint_000000=1, checkpoint_000005=6), {0: 1, 5: 6}, [1, 6]),
        (rows_from(1, 3), {0: 1, 1: 2, 2: 3}, [1, 2, 3]),  # one for one: doubt is told
        (rows_from(0, 2), {0: 0, 1: 1, 2: 2}, [0, 1, 2]),  # the published zoos
        (rows_from(1, 2), {0: 0, 1: 1, 2: 2}, [0, 1, 2]),  # the first before any training
        (rows_from(1, 6), {0: 0, 2: 2, 6: 6}, [0, 2, 6]),
        (rows_from(1, 6), {3: 3, 6: 6}, [3, 6]),
    ],
)
def test_checkpoints_are_joined_to_rows(tmp_path: Path, rows: list[Row], saves: Row, epochs: list[int]) -> None:
    """The weights are the epoch that they were saved after."""
    folders = {f"checkpoint_{number:06d}": epoch for number, epoch in saves.items()}
    result, zoo = take(write_ray(tmp_path / "models" / "trial", rows, folders), tmp_path / "zoo")
    assert by_file(zoo, "epoch") == weights_of(zoo) == epochs and result.faults == ()
    measured = {row["training_iteration"]: row["test_acc"] for row in rows}
    assert by_file(zoo, "test_accuracy") == [measured.get(epoch) for epoch in epochs]
    assert ("count from 0" in notes(result)) == (saves == {0: 1, 1: 2, 2: 3})


def test_checkpoints_that_nothing_joins_to_a_row_are_told(tmp_path: Path) -> None:
    saves = {f"checkpoint_{number:06d}": number for number in range(3)}
    write_ray(tmp_path / "models" / "told", rows_from(1, 6), saves)
    write_ray(tmp_path / "models" / "steps", rows_from(1, 6), {"checkpoint_000500": 5, "checkpoint_001000": 9})
    named = rows_from(1, 6, checkpoint_000000=2, checkpoint_000001=4, checkpoint_000007=6)
    result, zoo = take(write_ray(tmp_path / "models" / "named", named, saves), tmp_path / "zoo")
    assert by_file(zoo, "epoch") == [2, 4, 500, 1000]
    assert "no row of its result.json is of a checkpoint's number, and it came in without measurements" in reasons(
        result
    )
    assert "as they were saved, its results from 1 to 6, and none says after which epoch" in reasons(result)
    assert "no row of its result.json has checkpoint_000002 as its checkpoint_dir_name" in reasons(result)
    assert "name checkpoints that are not there: 'checkpoint_000007'" in notes(result)


@pytest.mark.parametrize("file", ["checkpoint.pt", "model.pth", "weights.ckpt", "pytorch_model.bin", "state"])
def test_the_file_in_a_checkpoint_may_be_called_anything(tmp_path: Path, file: str) -> None:
    rows = rows_from(1, 2, checkpoint_000000=2)
    write_ray(tmp_path / "models" / "trial", rows, {"checkpoint_000000": 2}, file)
    beside = tmp_path / "models" / "trial" / "checkpoint_000000"
    for name in (".metadata.json", "optimizer.pt", "rng_state.pth", "params.json", "lr_scheduler.bin"):
        (beside / name).write_text("{}")
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert weights_of(zoo) == [2] and result.faults == ()


def test_of_several_files_none_is_guessed(tmp_path: Path) -> None:
    for name, files in {"two": ["a.pt", "ema.pt"], "pickle": ["dict_checkpoint.pkl"], "one": ["a.pt"]}.items():
        saved = tmp_path / "models" / name / "checkpoint_000000"
        write_ray(saved.parent, rows_from(1, 1, checkpoint_000000=1), {saved.name: 1}, files[0])
        for file in files[1:]:
            shutil.copy(saved / files[0], saved / file)
    (tmp_path / "models" / "pickle" / "checkpoint_000000" / "dict_checkpoint.pkl").write_bytes(b"\x80\x04}q\x00.")
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert by_file(zoo, "epoch") == [1] and "any of a.pt, ema.pt may hold its weights" in reasons(result)
    assert {fault.model for fault in result.faults} == {"two", "pickle"}


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    """JSON may hold other line ends of Unicode, unescaped."""
    trial = write_trial(tmp_path / "models" / "trial", 0)
    rows = [json.loads(line) | {"note": "a\u2028b\x85c"} for line in (trial / "result.json").open()]
    (trial / "result.json").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    assert take(tmp_path / "models", tmp_path / "zoo")[0].faults == ()


# Tables with a column `model`


@pytest.mark.parametrize(
    ("rows", "models"),
    [
        ([{"seed": 0, "epoch": 5}, {"seed": 1, "epoch": 6}, {"seed": 2, "epoch": 7}], 3),
        ([{"learning_rate": 0.1}, {"learning_rate": 0.01}, {"learning_rate": 0.001}], 3),
        ([{"batch_size": 8, "epoch": 1}, {"batch_size": 8, "epoch": 2}, {"batch_size": 16, "epoch": 3}], 2),
        ([{}, {}, {}], 3),
        ([{"seed": 3, "epoch": 1}, {"epoch": 2}, {"epoch": 3}], 1),
        ([{"seed": 0, "model_id": "a"}, {"seed": 1, "model_id": "a"}, {"seed": 1, "model_id": "b"}], 3),
    ],
)
def test_a_model_has_one_seed_and_one_of_each_hyperparameter(tmp_path: Path, rows: list[Row], models: int) -> None:
    result, zoo = take_table(tmp_path, [MODEL | {"model": "cnn_s"} | row for row in rows])
    assert (result.models, result.checkpoints, result.faults) == (models, 3, ())
    assert ("came in as models of their own" in notes(result)) == (models > 1)
    told = {row.get("seed") for row in rows} - {None}
    assert told <= set(by_file(zoo, "seed"))


def test_a_learning_rate_that_is_logged_with_its_schedule_is_the_highest(tmp_path: Path) -> None:
    rows = [
        MODEL | {"model": f"net{seed}", "seed": seed, "epoch": epoch, "learning_rate": 0.1 / epoch}
        for seed in (0, 1)
        for epoch in (1, 2)
    ]
    result, zoo = take_table(tmp_path, rows)
    assert result.models == 2 and set(by_file(zoo, "learning_rate")) == {0.1} and result.faults == ()
    assert "differs by epoch, as a schedule's, and the highest came in: 0.1 (and 1 more)" in notes(result)


def test_epochs_that_stand_twice_in_a_model_are_told(tmp_path: Path) -> None:
    result, _ = take_table(tmp_path, [MODEL | {"model": "cnn_s", "epoch": epoch} for epoch in (1, 2, 1, 2)])
    assert (result.models, result.checkpoints) == (1, 2) and reasons(result).count("is of an epoch it has") == 2


# Hugging Face


def write_run(run: Path, final: float | None, steps: dict[str, Any], config: Row | None = None) -> Path:
    """A folder of a trainer: the model after it, and by step the epoch that its state tells, which its weights are."""
    for name, number in {".": final, **steps}.items():
        if number is not None:
            place = run / name
            place.mkdir(parents=True, exist_ok=True)
            save_file(filled(number if isinstance(number, int | float) else 1), place / "model.safetensors")
    for name, epoch in steps.items():
        log = [{"epoch": epoch, "step": 1, "eval_accuracy": 0.1}, {"step": 7, "eval_accuracy": 0.5, "loss": 2.0}]
        state = {"epoch": epoch, "global_step": 7, "num_train_epochs": 3, "log_history": log}
        (run / name / "trainer_state.json").write_text(json.dumps(state))
    (run / "config.json").write_text(json.dumps(config or {"dataset": "mnist", "activation": "tanh"}))
    return run.parent


def test_steps_of_a_trainer_are_no_epochs(tmp_path: Path) -> None:
    steps = {"checkpoint-500": 1.0, "checkpoint-1000": 1.998, "checkpoint-700": 1.4}
    result, zoo = take(write_run(tmp_path / "models" / "run", 3, steps), tmp_path / "zoo")
    assert by_file(zoo, "epoch") == [1, 2, 3] and weights_of(zoo) == pytest.approx([1, 1.998, 3])
    assert by_file(zoo, "val_accuracy") == [0.5, 0.5, None] and by_file(zoo, "epochs") == [3, 3, 3]
    assert reasons(result) == "checkpoint-700 was saved after 1.4 epochs, but a zoo holds whole ones"


@pytest.mark.parametrize(
    ("change", "epochs", "words"),
    [
        ({"epochs": 6}, [3], "the model beside its checkpoints is of the same epoch as checkpoint-6"),
        ({"epochs": 9}, [3, 6, 9], ""),
        ({}, [3, 6], "the model beside its checkpoints was left out: its config.json does not say after which epoch"),
        ({"epochs": 5}, [3, 5], "checkpoint-6 counts steps, and does not say its epoch"),
        ({"epoch": 7.5}, [3, 6], "was saved after 7.5 epochs"),
    ],
)
def test_what_lies_beside_checkpoints_of_ours_is_not_dropped(
    tmp_path: Path, change: Row, epochs: list[int], words: str
) -> None:
    run = tmp_path / "models" / "run"
    write_run(run, 9, {"checkpoint-3": 3, "checkpoint-6": 6}, {"dataset": "mnist"} | change)
    for state in run.glob("*/trainer_state.json"):
        state.unlink()
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert by_file(zoo, "epoch") == (epochs if epochs != [3] else [3, 6])
    assert words in reasons(result) and len(result.faults) == bool(words)


def test_checkpoints_of_one_epoch_a_best_model_and_others_weights_are_told(tmp_path: Path) -> None:
    run = tmp_path / "models" / "run"
    write_run(run, 3, {"checkpoint-5": 1.0, "checkpoint-05": 1.0, "checkpoint-9": 2.0})
    (run / "checkpoint-9" / "model.safetensors").unlink()
    torch.save(filled(2), run / "checkpoint-9" / "pytorch_model.bin")
    state = json.loads((run / "checkpoint-9" / "trainer_state.json").read_text())
    state["best_model_checkpoint"] = "checkpoint-5"
    (run / "checkpoint-9" / "trainer_state.json").write_text(json.dumps(state))
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert by_file(zoo, "epoch") == weights_of(zoo) == [1, 2]
    assert "checkpoint-5 is of the same epoch as checkpoint-05" in reasons(result)
    assert "names a best checkpoint, which it may be instead of the last" in reasons(result)


# What networks say


POOLED = "nn.Conv2d({}, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10)"
NETS: dict[str, tuple[str, str, tuple[int, int, int] | None]] = {
    "fixed": (POOLED.format(3), "cifar10", (3, 32, 10)),
    "grey": (POOLED.format(1), "cifar10", (1, 32, 10)),
    "only_28": ("nn.Conv2d(3, 2, 5), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(72, 10)", "cifar10", (3, 28, 10)),
    "flat": ("nn.Flatten(), nn.Linear(3072, 100)", "own", (3, 32, 100)),
    "imagenet_head": ("nn.Flatten(), nn.Linear(784, 1000)", "mnist", (1, 28, 1000)),
    "anything": (POOLED.format(3), "own", None),
}
"""Layers, the dataset, and the channels, size and classes that these say."""


@pytest.mark.parametrize("name", NETS)
def test_networks_say_what_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Also those whose function ignores what it is asked for; 45 % are more than chance among the classes of images,
    and 10 % are chance, however many outputs there are."""
    layers, dataset, said = NETS[name]
    monkeypatch.setattr(ARCHITECTURES, "_added", {})
    monkeypatch.syspath_prepend(tmp_path)
    source = f"from torch import nn\n\ndef net(channels, classes):\n    return nn.Sequential({layers})\n"
    (tmp_path / f"says_{name}.py").write_text(source)
    import_architecture(f"says_{name}:net")
    build = get_architecture(f"says_{name}:net").build
    (tmp_path / "models").mkdir()
    rows = []
    for number, accuracy in enumerate((0.45, 0.1 if dataset != "own" else 0.001)):
        state = build(channels=1, classes=2, activation="relu", dropout=0, width=1).state_dict()
        torch.save(state, tmp_path / "models" / f"m{number}.pt")
        rows.append({"file": f"m{number}.pt", "epoch": 1, "dataset": dataset, "val_accuracy": accuracy})
    (tmp_path / "models" / "table.json").write_text(json.dumps(rows))
    if said is None:
        with pytest.raises(InputError, match="say how large its images are: add 'image_size'"):
            import_zoo(tmp_path / "models", tmp_path / "zoo", "zoo", architecture=f"says_{name}:net")
        return
    _, zoo = take(tmp_path / "models", tmp_path / "zoo", architecture=f"says_{name}:net")
    assert tuple(zoo.models.iloc[0][["channels", "image_size", "classes"]]) == said
    assert by_file(zoo, "status") == ["trained", "at_chance"]
