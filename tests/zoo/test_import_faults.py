"""Importing folders with faults: each fault is reported in a sentence, and the rest is imported."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from zoo.test_import import (  # the fixtures too
    EPOCHS,
    PARAMS,
    Command,
    Tensors,
    command,  # noqa: F401
    models,  # noqa: F401
    network,
    take,
    write_folders,
    write_trial,
    written,  # noqa: F401
)

from zoobench.zoo import Zoo
from zoobench.zoo.importers import Imported
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.state import read_state
from zoobench.zoo.published import CONFIG, RESULTS
from zoobench.zoo.schema import METRICS, MODELS

Harm = Callable[[Path], object]
LAST = EPOCHS[-1]


class Code:
    """Pickled, it makes a folder when it is unpickled without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def last(trial: Path) -> Path:
    return trial / f"checkpoint_{LAST:06d}" / "checkpoints"


def holds(edit: Callable[[Tensors], object], **options: Any) -> Harm:
    """The last checkpoint holds this."""
    return lambda trial: torch.save(edit(network()), last(trial), **options)


def becomes(edit: Callable[[bytes], bytes], file: str = "result.json") -> Harm:
    """A file becomes this, or the last checkpoint does."""
    return lambda trial: (trial / file).write_bytes(edit((trial / file).read_bytes()))


def last_becomes(edit: Callable[[bytes], bytes]) -> Harm:
    return lambda trial: last(trial).write_bytes(edit(last(trial).read_bytes()))


def legacy(edit: Callable[[bytes], bytes]) -> Harm:
    """As files were before torch 1.6."""

    def harm(trial: Path) -> None:
        torch.save(network(), last(trial), _use_new_zipfile_serialization=False)
        last_becomes(edit)(trial)

    return harm


def flip(trial: Path) -> None:
    """A bit in a weight."""
    state = torch.load(last(trial), weights_only=True)
    weights = next(iter(state.values())).numpy().tobytes()
    last_becomes(lambda content: content.replace(weights, weights[:7] + bytes([weights[7] ^ 1]) + weights[8:]))(trial)


def runs_code(trial: Path) -> None:
    last(trial).write_bytes(pickle.dumps({"state_dict": Code(trial.parents[1] / "ran")}))


def runs_code_in_an_archive(trial: Path) -> None:
    torch.save({"weights": torch.zeros(3), "code": Code(trial.parents[1] / "ran")}, last(trial))


def pipe(name: str) -> Harm:
    def harm(trial: Path) -> None:
        (trial / name).unlink()
        os.mkfifo(trial / name)

    return harm


def renamed(name: str) -> Harm:
    return lambda trial: last(trial).parent.rename(trial / name)


def put(**params: object) -> Harm:
    return lambda trial: (trial / "params.json").write_text(json.dumps(PARAMS | params))


def twin(trial: Path) -> None:
    put(seed=1000)(trial)
    shutil.copytree(trial, trial.parent / "a_twin")


def poisoned(state: Tensors) -> Tensors:
    return state | {"module_list.9.bias": torch.tensor([0.0] * 19 + [float("nan")])}


def wider(state: Tensors) -> Tensors:
    return state | {"module_list.3.weight": torch.zeros(6, 9, 5, 5)}


def claims(state: Tensors) -> Tensors:
    """Gigabytes from a few bytes: the strides are 0."""
    return state | {"module_list.11.weight": torch.zeros(1).expand(10**10, 20)}


NESTED = b"[" * 100_000
OUT, NOTE = "model", "note"
"""A model that is left out, and one that is imported with a note."""


HARMS: list[tuple[Harm, int | str, str]] = [
    (last_becomes(lambda content: content[:-100]), LAST, "cut short"),
    (last_becomes(lambda content: content[:1000]), LAST, "cut short"),
    (last_becomes(lambda content: b""), LAST, "cut short"),
    (legacy(lambda content: content[:-100]), LAST, "cut short"),
    (legacy(lambda content: content[:40]), LAST, "cut short"),
    (flip, LAST, "checksum"),
    (holds(poisoned), LAST, "not all finite"),
    (holds(wider), LAST, "no architecture tried"),
    (holds(claims), LAST, "not a dense tensor"),
    (holds(lambda state: {name: tensor.to_sparse() for name, tensor in state.items()}), LAST, "not a dense tensor"),
    (holds(lambda state: {"step": 3}), LAST, "no floating-point tensors"),
    (holds(lambda state: list(state.values())), LAST, "but a list"),
    (holds(lambda state: network("cnn_l")), OUT, "of several architectures"),
    (runs_code, LAST, "only tensors are unpickled"),
    (runs_code_in_an_archive, LAST, "asks for posix.mkdir"),
    (lambda trial: last(trial).unlink(), LAST, "is missing"),
    (renamed("checkpoint_2"), 2, "is of the same epoch as"),
    (renamed("other"), LAST, "most models of the zoo have it"),
    (twin, OUT, "are those of a_twin"),
    (becomes(lambda content: b""), OUT, "holds no row"),
    (becomes(lambda content: b"garbage\n" * 3), OUT, "holds no row"),
    (becomes(lambda content: NESTED), OUT, "holds no row"),
    (becomes(lambda content: b"\xff\xfe\x00"), OUT, "holds no row"),
    (lambda trial: (trial / "result.json").unlink(), OUT, "no result.json"),
    (pipe("result.json"), OUT, "no result.json"),
    (becomes(lambda content: content[:-30]), NOTE, "row 5 of its result.json is not a JSON object"),
    (becomes(lambda content: b"{" * 99 + content), NOTE, "row 1 of its result.json is not a JSON object"),
    (becomes(lambda content: NESTED, "params.json"), OUT, "is not JSON"),
    (becomes(lambda content: b"\xff" + content, "params.json"), OUT, "is not JSON"),
    (becomes(lambda content: b"[]", "params.json"), OUT, "holds no JSON object"),
    (pipe("params.json"), OUT, "no params.json"),
    (lambda trial: [each.rename(trial / f"x{each.name}") for each in trial.glob("che*")], OUT, "no checkpoints"),
]
"""A change to a model, the reported epoch (or `OUT`, or `NOTE`), and the words of the report."""


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Imported, Zoo]:
    """A zoo of models each of which was harmed in another way."""
    folder = tmp_path_factory.mktemp("harmed")
    for number, (harm, *_) in enumerate(HARMS):
        harm(write_trial(folder / "models" / f"trial{number}", number))
    result, zoo = take(folder / "models", folder / "zoo")
    assert not (folder / "ran").exists()
    return result, zoo


@pytest.mark.parametrize("number", range(len(HARMS)))
def test_what_cannot_come_in_is_told(harmed: tuple[Imported, Zoo], number: int) -> None:
    (result, zoo), (_, where, reason) = harmed, HARMS[number]
    faults = [fault for fault in result.faults if fault.model == f"trial{number}"]
    told = [fault.checkpoint for fault in faults if reason in fault.reason]
    assert told == [where if isinstance(where, int) else None], faults
    came_in = (zoo.checkpoints["seed"] == number).sum()
    assert came_in == {OUT: 0, NOTE: len(EPOCHS)}.get(str(where), len(EPOCHS) - 1)


def test_rows_keep_their_epochs_where_one_is_damaged(tmp_path: Path) -> None:
    trial = write_trial(tmp_path / "models" / "trial", 0, told=False)
    lines = (trial / "result.json").read_text().splitlines(keepends=True)
    (trial / "result.json").write_text("".join([lines[0], "{", "\n", *lines[2:]]))
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert len(result.faults) == 1
    assert zoo.checkpoints["test_loss"].to_list() == [json.loads(lines[epoch])["test_loss"] for epoch in EPOCHS]


def test_configurations_as_deep_as_can_just_be_parsed(tmp_path: Path) -> None:
    depths = range(840, 1000, 4)
    for depth in depths:
        trial = tmp_path / "models" / f"trial{depth}"
        last(trial).parent.mkdir(parents=True)
        torch.save(network(seed=depth), last(trial))
        (trial / "result.json").write_text(json.dumps({"test_acc": 0.5, "epoch": LAST}))
        (trial / "params.json").write_text(json.dumps(PARAMS)[:-1] + f', "deep": {"[" * depth + "]" * depth}}}')
    (trial / "params.json").write_text(json.dumps(PARAMS))
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    assert result.models + len(result.faults) == len(depths)
    assert {fault.reason.split()[-1] for fault in result.faults} == {"JSON", "deep"}


FORMATS: dict[str, Callable[[Tensors, Path], object]] = {
    "archive": torch.save,
    "legacy.pt": lambda state, file: torch.save(state, file, _use_new_zipfile_serialization=False),
    "file.safetensors": save_file,
}


intact: dict[str, bytes] = {}
"""Files as they were written first: the legacy format holds addresses, and is now and then longer than before."""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=120)
@given(data=st.data())
def test_damaged_files_never_come_in_as_other_weights(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Archives hold checksums; of the others, whatever is read, nothing else is raised."""
    file = tmp_path_factory.getbasetemp() / data.draw(st.sampled_from(sorted(FORMATS)))
    state = {"a.weight": torch.arange(20.0).view(5, 4), "a.bias": torch.arange(5.0)}
    content = intact.get(file.name)
    if content is None:
        FORMATS[file.name](state, file)
        content = intact[file.name] = file.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    kept = data.draw(st.sampled_from([0, 0, 4, len(content)]))
    other = data.draw(st.binary(max_size=9))
    file.write_bytes(content[:place] + other + content[place + len(other) :][: kept or None])
    try:
        found = read_state(file).tensors
    except RejectedError as error:
        assert "\n" not in str(error)
    else:
        if file.name == "archive":
            assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


SCALARS = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.integers(10**300, 10**310)
    | st.text(max_size=9)
    | st.sampled_from(["nan", "1e999", "\ud800", "[/red]", "\x1b[2J", "../..", "diverged", "cnn_s", "x:y"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)
KEYS = st.sampled_from([*MODELS.names, *CONFIG.values(), "dataset::name", "zoobench"])
RESULT_KEYS = st.sampled_from(
    [*METRICS, *RESULTS.values(), "epoch", "training_iteration", "time_this_iter_s", "config"]
)


@settings(max_examples=20)
@given(
    params=st.dictionaries(KEYS, VALUES, max_size=12),
    results=st.lists(st.dictionaries(RESULT_KEYS, VALUES, max_size=6) | VALUES, min_size=1, max_size=4),
    array=st.booleans(),
)
@example(params={"seed": 10**400, "learning_rate": 10**400}, results=[{"epoch": 10**400}], array=False)
def test_whatever_the_files_say_the_zoo_is_sound(
    tmp_path_factory: pytest.TempPathFactory, params: dict[str, Any], results: list[Any], array: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("said")
    trial = tmp_path / "models" / "trial"
    last(trial).parent.mkdir(parents=True)
    torch.save(network(), last(trial))
    rows = [*results, {"test_acc": 0.5}]
    (trial / "params.json").write_text(json.dumps(params))
    (trial / "result.json").write_text(json.dumps(rows) if array else "\n".join(map(json.dumps, rows)))
    result, _ = take(tmp_path / "models", tmp_path / "zoo", dataset="mnist")
    assert result.models == 1


def outside(folder: Path, tmp_path: Path) -> dict[str, str]:
    """Files that a table may not name, and why; a sound checkpoint lies there."""
    torch.save(network(), tmp_path / "secret.pt")
    (folder / "link.pt").symlink_to(tmp_path / "secret.pt")
    (folder / "loop.pt").symlink_to(folder / "loop.pt")
    (folder / "inner").symlink_to(tmp_path)
    names = ["../secret.pt", str(tmp_path / "secret.pt"), "link.pt", "loop.pt", "inner/secret.pt", "a\0b"]
    return dict.fromkeys([*names, "inner/../../secret.pt"], "does not lie in the folder") | {
        "none.pt": "is missing",
        "x" * 5000: "cannot be read",
    }


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_table_names_files_of_its_folder_only(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    torch.save(network(), folder / "good.pt")
    reasons = outside(folder, tmp_path)
    rows = [{"file": name, "epoch": 1, "dataset": "mnist"} for name in ["good.pt", *reasons]]
    lines = [*map(json.dumps, rows), "5", json.dumps(rows[0] | {"epoch": -1}), json.dumps({"epoch": 7})]
    table = folder / f"table.{suffix}"
    table.write_text("\n".join([*lines, '{"file": "cut']) if suffix == "jsonl" else f"[{', '.join(lines)}]")
    result, _ = take(folder, tmp_path / "zoo")
    assert result.models == 1
    told = [fault.reason for fault in result.faults]
    for words in set(reasons.values()):
        assert sum(words in reason for reason in told) == list(reasons.values()).count(words), told
    assert sum("names no file" in reason for reason in told) == (3 if suffix == "jsonl" else 2)
    assert sum("after which epoch" in reason for reason in told) == 1


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "sharded" / "model-1.safetensors").unlink(), "shard model-1.safetensors is missing"),
        (lambda folder: save_file({}, folder / "sharded" / "model-1.safetensors"), "lack the entry 'bn1.running_var'"),
        (becomes(lambda text: text.replace(b"model-1", b"../sharded/model-1"), "sharded/model.safetensors.index.json"),
         "does not lie in the folder"),
        (becomes(lambda text: b"{}", "sharded/model.safetensors.index.json"), "has no weight_map"),
        (becomes(lambda text: text[:-9], "single/model.safetensors"), "is damaged"),
        (becomes(lambda text: b"{}", "single/config.json"), "after which epoch"),
        (lambda folder: (folder / "single" / "model.safetensors").unlink(), "it has no checkpoints"),
        (lambda folder: (folder / "single" / "config.json").unlink(), "it has no config.json"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path, harm: Harm, reason: str) -> None:
    harm(write_folders(tmp_path / "models"))
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    assert result.models == 2 and reason in " ".join(fault.reason for fault in result.faults), result.faults


def test_metrics_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    several = write_folders(tmp_path / "models") / "several"
    becomes(lambda text: b"?", "metrics.json")(several / "checkpoint-10")
    pipe("metrics.json")(several / "checkpoint-2")
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    assert result.models == 3 and [fault.checkpoint for fault in result.faults] == [2, 10]


def test_names_of_files_and_models_are_shown_as_what_they_are(command: Command, models: Path, tmp_path: Path) -> None:  # noqa: F811
    bad = os.fsencode(models) + b"/\x1b[2J[red]\n\xff"
    (models / "trial2").rename(os.fsdecode(bad))
    (Path(os.fsdecode(bad)) / "result.json").unlink()
    put(**{"dataset": "[/red]\x1b[2J"})(models / "trial3")
    code, output, error = command(models)
    assert code == 0 and error == "" and "\x1b" not in output and "3 models" in output and output.count("red]") == 4, (
        repr(output)
    )
    faults = json.loads((tmp_path / "results" / "import-models.json").read_text())["faults"]
    assert [fault["checkpoint"] for fault in faults] == ["model"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/none"], "there is no folder"),
        (["{tmp}/models/trial0/params.json"], "there is no folder"),
        (["{tmp}/empty"], "holds no trained networks in a layout that zoobench knows; known are modelzoos (zoos of"),
        (["{tmp}/empty", "--layout", "table"], "tables with a column 'file'"),
        (["{tmp}/empty", "--layout", "modelzoos"], "holds no models in the layout 'modelzoos'"),
        (["{tmp}/models", "--layout", "modelzoo"], "unknown layout 'modelzoo': did you mean 'modelzoos'?"),
        (["{tmp}/models", "--architecture", "cnn_x"], "unknown architecture 'cnn_x': did you mean"),
        (["{tmp}/models", "--architecture", "nowhere:net"], "cannot import the architecture 'nowhere:net'"),
        (["{tmp}/models", "--architecture", "cnn_l"], "none of the models in"),
        (["{tmp}/models", "--name", "../up"], "letters, digits and . _ + -"),
        (["{tmp}/models", "--name", "a" * 201], "letters, digits and . _ + -"),
        (["{tmp}/models", "--out", "{tmp}/models"], "holds other files already"),
        (["{tmp}/models", "--out", "{tmp}/zoo"], "holds a zoo already"),
        (["{tmp}/models", "--out", "foo://bar"], "foo"),
        (["{tmp}/nameless"], "'trial' in {tmp}/nameless does not say which dataset it was trained on; name that"),
    ],
)
def test_what_stops_an_import_is_one_sentence(
    command: Command,  # noqa: F811
    models: Path,  # noqa: F811
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "zoo.json").touch()
    put(**{"dataset::dump": "elsewhere.pt"})(write_trial(tmp_path / "nameless" / "trial", 0))
    code, output, error = command(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 2 and sentence.format(tmp=tmp_path) in error, error
    assert error.startswith("Error: ") and error.count("\n") == 1 and output.strip() == ""
