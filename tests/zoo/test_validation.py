"""Damage to a zoo: whatever is done to it, `zoobench zoo validate` says what is wrong, in a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from zoo.test_zoo import trained

from zoo_generation.files import StoragePath
from zoo_generation.progress import Progress, Update
from zoo_generation.training.spec import make_spec
from zoobench.cli.app import main
from zoobench.zoo import ZooSink, zoo_path
from zoobench.zoo.parts import FOLDERS, part_file, part_names
from zoobench.zoo.schema import conform
from zoobench.zoo.sink import part_of
from zoobench.zoo.validation import validate_zoo

SPEC = {"name": "small", "datasets": "digits", "architectures": "cnn_s", "learning_rate": 1e-3, "epochs": 2, "seeds": 5}


def write(path: StoragePath) -> None:
    """Three parts: sound ones of two architectures, and one of models that diverged, the last before any checkpoint."""
    sink = ZooSink(path)
    sink.write_card("zoo", {})
    models = trained("cnn_s", 5)
    sink.write(models[:3])
    sink.write([replace(models[3], status="diverged"), replace(models[4], status="diverged", checkpoints=())])
    sink.write(trained("resnet18", 2))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "zoo"
    write(path)
    return path


@pytest.fixture
def zoo(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "zoos" / "zoo")
    return tmp_path / "zoos" / "zoo"


def problems(path: StoragePath) -> list[str]:
    found = [str(problem) for problem in validate_zoo(path).problems]
    assert all("\n" not in problem and len(problem) < 500 for problem in found)
    return found


def refuse(path: StoragePath, *sentences: str) -> None:
    found = problems(path)
    assert found
    for sentence in sentences:
        assert any(sentence in problem for problem in found), found


def first(zoo: Path) -> str:
    """The part of the three sound models."""
    return next(part for part in part_names(zoo) if pq.read_metadata(part_file(zoo, "models", part)).num_rows == 3)


def fit_sums(zoo: Path, part: str) -> None:
    """Checksums that fit what the part's files are now, so that checks behind them are reached."""
    files = [part_file(zoo, folder, part) for folder in ("checkpoints", "models", "weights")]
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(zoo)}\n" for file in files if file.exists()
    ]
    part_file(zoo, "checksums", part).write_text("".join(lines))


def edit_table(zoo: Path, table: str, edit: Callable[[pa.Table], pa.Table]) -> None:
    part = first(zoo)
    file = part_file(zoo, table, part)
    pq.write_table(edit(pq.read_table(file)), file)
    fit_sums(zoo, part)


def column(name: str, edit: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:
    """Other values in a column."""

    def edited(table: pa.Table) -> pa.Table:
        values = pa.array(edit(table[name].to_pylist()), table.schema.field(name).type)
        return table.set_column(table.column_names.index(name), name, values)

    return edited


def put(value: object) -> Callable[[list], list]:
    """The value in the second row."""
    return lambda values: [values[0], value, *values[2:]]


def edit_weights(
    zoo: Path,
    edit: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.contiguous,
    layout: Callable[[list], object] = list,
    **others: torch.Tensor,
) -> None:
    file = part_file(zoo, "weights", first(zoo))
    with safe_open(file, framework="pt") as content:
        weights, entries = content.get_tensor("weights").clone(), json.loads(content.metadata()["layout"])
    save_file({"weights": edit(weights), **others}, file, metadata={"layout": json.dumps(layout(entries))})
    fit_sums(zoo, first(zoo))


def test_a_sound_zoo_is_valid_here_and_far_away(sound: Path) -> None:
    told: list[Update] = []
    report = validate_zoo(sound, progress=Progress(told.append))
    assert report.valid and report.notes == ()
    assert sorted((update.done, update.of) for update in told) == [(0, 0), (1, 3), (2, 3), (3, 3)]
    counts = {check.name: check.count for check in report.checks}
    assert counts["checksums"] == 3 and counts["weights"] == 18 and counts["values"] == 25
    far = zoo_path(f"memory://{uuid.uuid4()}/zoo")
    write(far)
    assert validate_zoo(far).checks == report.checks
    weights = next(far.glob("weights/*"))
    weights.write_bytes(weights.read_bytes()[:-4])
    refuse(far, "SHA-256")


@settings(max_examples=25)
@given(data=st.data())
def test_every_flipped_bit_and_every_cut_is_found(sound: Path, data: st.DataObject) -> None:
    files = sorted(file for folder in FOLDERS for file in (sound / folder).iterdir())
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = content[:place] + bytes([content[place] ^ 1 << data.draw(st.integers(0, 7))]) + content[place + 1 :]
    try:
        for harmed in (flipped, content[:place]):
            file.write_bytes(harmed)
            refuse(sound)
    finally:
        file.write_bytes(content)


def test_bytes_that_are_no_text_are_told() -> None:
    content = [None, pa.py_buffer(struct.pack("<ii", 0, 1)), pa.py_buffer(b"\x80")]
    table = pa.table({"name": pa.Array.from_buffers(pa.string(), 1, content)})
    with pytest.raises(ValueError, match="no value of its column's type"):
        conform(table, pa.schema([pa.field("name", pa.string())]))


@settings(max_examples=25)
@given(data=st.data())
def test_garbage_with_fitting_checksums_raises_nothing(sound: Path, data: st.DataObject) -> None:
    """Readers of Parquet and safetensors get to see it."""
    part = first(sound)
    file = part_file(sound, data.draw(st.sampled_from(["models", "checkpoints", "weights"])), part)
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    try:
        file.write_bytes(content[:place] + data.draw(st.binary(min_size=1, max_size=20)) + content[place + 8 :])
        fit_sums(sound, part)
        problems(sound)
    finally:
        file.write_bytes(content)
        fit_sums(sound, part)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_missing_file_is_found(zoo: Path, folder: str) -> None:
    part_file(zoo, folder, first(zoo)).unlink()
    refuse(zoo, "belongs to no part" if folder == "models" else "it is missing")


def test_a_directory_and_a_pipe_are_no_files(zoo: Path) -> None:
    (zoo / "models" / "folder.parquet").mkdir()
    os.mkfifo(zoo / "models" / "pipe.parquet")
    refuse(zoo, "models/folder.parquet: it is missing", "models/pipe.parquet: it is missing")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda text: text.replace("  weights/", "  ../../etc/passwd"), "may name only"),
        (lambda text: text.replace("  weights/", "  /etc/passwd"), "may name only"),
        (lambda text: text.replace("  weights/", "  ./weights/"), "may name only"),
        (lambda text: text.replace("  weights/", " *weights/"), "two spaces"),
        (str.upper, "lower-case"),
        (lambda text: text + text, "twice"),
        (lambda text: text.replace("\n", "\r\n"), "may name only"),
        (lambda text: text[:-1], "cut short"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "does not name weights/"),
        (lambda text: "", "line 1 is not"),
        (lambda text: text.replace("a", "ä").replace("0", "\0"), "lower-case"),
    ],
)
def test_checksums_are_read_strictly(zoo: Path, edit: Callable[[str], str], sentence: str) -> None:
    file = part_file(zoo, "checksums", first(zoo))
    file.write_bytes(edit(file.read_text()).encode())
    refuse(zoo, sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format": "zoobench-zoo/9"}, "this zoobench reads 'zoobench-zoo/1'"),
        ({"format": None}, "the field 'format' is missing"),
        ({"name": "../../zoo"}, "not a safe file name"),
        ({"name": 5}, "'name' was given 5"),
        ({"built": "yesterday"}, "'built' was given 'yesterday'"),
        ({"spec": []}, "'spec' was given []"),
        ({"spec": {"datasets": "digits", "colour": "red"}}, "unknown spec field 'colour'"),
    ],
)
def test_cards_are_read_strictly(zoo: Path, fields: dict[str, object], sentence: str) -> None:
    card = json.loads((zoo / "zoo.json").read_text()) | fields
    (zoo / "zoo.json").write_text(json.dumps({key: value for key, value in card.items() if value is not None}))
    refuse(zoo, sentence)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'"zoo"'])
def test_what_is_no_card(zoo: Path, content: bytes) -> None:
    (zoo / "zoo.json").write_bytes(content)
    refuse(zoo, "zoo.json: it ")


@pytest.mark.parametrize(
    ("table", "edit", "sentence"),
    [
        ("models", lambda table: table.drop(["width"]), "'width' is missing"),
        ("models", lambda table: cast(table, "width", pa.string()), "'width' is of type string"),
        ("models", lambda table: cast(table, "epochs", pa.int32()), "'epochs' is of type int32, and must be int64"),
        ("models", lambda table: table.append_column("width", table["width"]), "cannot be read as Parquet"),
        ("models", column("status", put(None)), "'status' holds a null"),
        ("models", column("status", put("fine")), "'status' is 'fine' in row 1, and must be one of trained, at_chance"),
        ("models", column("status", put("a\nb" * 999)), "'status' is 'a"),
        ("models", column("width", put(float("nan"))), "'width' is 'nan'"),
        ("models", column("classes", put(0)), "'classes' is '0'"),
        ("models", column("model_id", lambda ids: [ids[0], ids[0], ids[2]]), "stands in it twice"),
        ("models", column("model_id", lambda ids: ids[::-1]), "must be named"),
        ("models", lambda table: table.slice(0, 2), "is not in the models of the part"),
        ("checkpoints", lambda table: table.drop(["epoch"]), "'epoch' is missing"),
        ("checkpoints", column("epoch", put(-1)), "'epoch' is '-1' in row 1, and may not be negative"),
        ("checkpoints", column("epoch", put(0)), "after epoch 0 stands in it twice"),
        ("checkpoints", column("test_accuracy", put(1.5)), "'test_accuracy' is '1.5' in row 1, and must lie in [0, 1]"),
        ("checkpoints", column("val_accuracy", put(float("nan"))), "'val_accuracy' is 'nan'"),
        ("checkpoints", column("val_loss", lambda losses: [-1.0 for _ in losses]), "(and 8 more rows)"),
        ("checkpoints", column("model_id", put("another")), "the model 'another' of a checkpoint is not in the models"),
        ("checkpoints", column("part", put("../../etc")), "'part' is '../../etc' in row 1"),
        ("checkpoints", column("row", put(0)), "'row' must hold each number from 0 to 8 once"),
        ("checkpoints", lambda table: table.slice(0, 8), "must be [8, 2464]"),
        ("checkpoints", lambda table: table.slice(0, 0), "must be [0, 2464]"),
    ],
)
def test_tables_hold_what_the_schema_says(
    zoo: Path, table: str, edit: Callable[[pa.Table], pa.Table], sentence: str
) -> None:
    edit_table(zoo, table, edit)
    refuse(zoo, sentence)


def cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pc.cast(table[name], kind))


@pytest.mark.parametrize(
    "edit",
    [
        lambda table: table.drop(["train_loss", "train_accuracy"]),
        column("train_accuracy", put(None)),
        column("train_loss", put(float("inf"))),
        lambda table: table.append_column("remark", pa.array(["…"] * len(table))),
    ],
)
def test_what_the_schema_leaves_open(zoo: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    edit_table(zoo, "checkpoints", edit)
    assert problems(zoo) == []


def poisoned(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda weights: weights.index_put((torch.tensor(4), torch.tensor(7)), torch.tensor(value))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"edit": torch.Tensor.half}, "its weights are F16, and must be F32"),
        ({"edit": torch.Tensor.double}, "its weights are F64, and must be F32"),
        ({"edit": poisoned(float("nan"))}, "the weights of row 4 are not finite"),
        ({"edit": poisoned(float("-inf"))}, "the weights of row 4 are not finite"),
        ({"edit": lambda weights: weights[:-1].contiguous()}, "must be [9, 2464]"),
        ({"edit": lambda weights: weights[:, :-1].contiguous()}, "must be [9, 2464]"),
        ({"edit": lambda weights: weights.flatten()}, "must be [9, 2464]"),
        ({"layout": lambda entries: entries[:-1]}, "its weights are [9, 2464], and must be [9, "),
        ({"layout": lambda entries: dict(entries)}, "not a list of [name, shape]"),
        ({"layout": lambda entries: [*entries, entries[0]]}, "names an entry twice"),
        ({"layout": lambda entries: [["w", [-2464]]]}, "not a list of [name, shape]"),
        ({"bias": torch.zeros(3)}, "must hold one tensor, 'weights', and holds ['bias', 'weights']"),
    ],
)
def test_weights_fit_their_layout_and_are_finite(zoo: Path, edit: dict, sentence: str) -> None:
    edit_weights(zoo, **edit)
    refuse(zoo, sentence)


def test_weights_of_many_blocks(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoobench.zoo.part_validation.BLOCK", 5000)
    assert problems(zoo) == []
    edit_weights(zoo, poisoned(float("nan")))
    refuse(zoo, "the weights of row 4 are not finite")


def test_a_population_has_one_layout(zoo: Path) -> None:
    edit_weights(zoo, layout=lambda entries: [["other", [2464]]])
    refuse(zoo, "its layout differs from that in weights/")


def test_files_that_are_of_no_part(zoo: Path) -> None:
    for name in ("README.md", "weights/.a.safetensors.x1", ".lock"):
        (zoo / name).touch()
    report = validate_zoo(zoo)
    assert report.valid and len(report.notes) == 2
    (zoo / "weights" / "notes\n.txt").touch()
    refuse(zoo, "weights/notes")


def test_an_unfinished_zoo_is_valid(tmp_path: Path) -> None:
    """Also where a killed worker has left files without a models file, and a retry has written other shards."""
    sink = ZooSink(tmp_path)
    sink.write_card("small", make_spec(SPEC).model_dump(mode="json"))
    assert validate_zoo(tmp_path).notes == (
        "5 of the 5 models of the spec are missing yet; its build command trains them",
        "it holds no models yet",
    )
    sink.write(trained("cnn_s", 3))
    sink.write(trained("cnn_s", 2))
    sink.write(trained("cnn_s", 1))
    part_file(tmp_path, "models", part_of(trained("cnn_s", 1)).name).unlink()
    report = validate_zoo(tmp_path)
    assert report.valid and len(report.notes) == 5, report


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`zoobench zoo validate` with these arguments: its exit code, what it printed, and what on standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("ZOOBENCH_DATA", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ["zoobench", "zoo", "validate", *map(str, arguments), "--home", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capfd.readouterr()

    return run


def saved(home: Path, name: str) -> dict:
    return json.loads((home / "results" / f"validation-{name}.json").read_text())


def test_the_command_ends_with_0_or_2(command: Command, zoo: Path, tmp_path: Path) -> None:
    code, output, error = command()
    assert code == 0 and error == "" and "checksums" in output and "zoo is valid" in output
    assert saved(tmp_path, "zoo")["valid"] and saved(tmp_path, "zoo")["problems"] == []
    for part in part_names(zoo):
        edit = part_file(zoo, "models", part)
        edit.write_bytes(b"")
    shutil.copy(zoo / "zoo.json", os.fsencode(zoo / "models") + b"/\xff\n.parquet")
    for number in range(29):
        (zoo / "models" / f"stray{number}").touch()
    code, output, error = command(zoo)
    assert code == 2 and output.count("✗") == 20
    assert error.startswith("Error: ") and error.count("\n") == 1 and "it has 36 problems" in error
    assert len(saved(tmp_path, "zoo")["problems"]) == 36


def test_a_place_without_a_zoo(command: Command, tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path, "nowhere://bucket/zoo"):
        code, output, error = command(place)
        assert code == 2 and error.startswith("Error: ") and "Traceback" not in output + error
