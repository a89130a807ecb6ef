"""Files of weights as others write them: what is in them comes in as it was, or a sentence says why not."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import pathlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from zoo.test_import import Tensors, network, take

from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.state import read_state

Save = Callable[[Tensors, Path], object]


class Known(dict[str, Any]):
    """As EasyDict and others are: a mapping of a class of its own."""


class Config:
    """As a training script's own, with what it likes in it."""

    def __init__(self) -> None:
        self.layers, self.when = [1, {"a": (2, 3)}], datetime.datetime(2024, 1, 1)


def of(state: Tensors) -> Tensors:
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def assert_same(found: Tensors, given: Tensors) -> None:
    assert found.keys() == given.keys() and all(torch.equal(found[name], given[name].float()) for name in given)


def archive(content: object, file: Path) -> None:
    torch.save(content, file)


def legacy(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def without_checksums(content: object, file: Path) -> None:
    config = pytest.importorskip("torch.utils.serialization").config
    config.save.compute_crc32 = False
    try:
        torch.save(content, file)
    finally:
        config.save.compute_crc32 = True


SAVES = {"archive": archive, "legacy": legacy, "unchecked": without_checksums} | {
    f"protocol {number}": lambda content, file, number=number: torch.save(content, file, pickle_protocol=number)
    for number in (3, 4, 5)
}
BESIDE = {
    "best_acc1": np.float64(91.2),
    "seen": np.int64(7),
    "lr": np.array([0.1, 0.2]),
    "args": argparse.Namespace(lr=0.1, inner=argparse.Namespace(out=pathlib.PurePosixPath("a/b"))),
    "config": Config(),
    "metrics": collections.defaultdict(list, loss=[1.0, 2.0]),
    "counts": collections.Counter("aab"),
    "when": datetime.datetime(2024, 1, 2),
    "tags": {"a", "b"},
    "frozen": frozenset([1, (2, 3)]),
    "raw": b"\x00\xff",
    "number": 10**30,
    "complex": 1 + 2j,
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "easy": Known(a=1),
    "rng": torch.zeros(5000, dtype=torch.uint8),
    "best": torch.tensor(0.9),
    "scaler": {"scale": 65536.0, "_growth_tracker": 0},
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_what_lies_beside_the_weights_does_no_harm(save: Save, tmp_path: Path) -> None:
    state = network("resnet18", width=1 / 16)
    save({"state_dict": state, "epoch": 5, **BESIDE}, tmp_path / "file")
    found = read_state(tmp_path / "file")
    assert_same(found.tensors, of(state))
    assert list(found.tensors) == list(of(state)) and found.ordered and found.notes == ()


def test_views_parameters_and_tied_weights_are_read_as_they_are(tmp_path: Path) -> None:
    flat = torch.arange(24.0)
    tied = nn.Parameter(torch.randn(3, 2))
    state = {
        "of_one_storage.weight": flat[2:14].view(3, 4),
        "transposed.weight": flat.view(4, 6).t()[1:, ::2],
        "tied.weight": tied,
        "again.weight": tied,
        "half.weight": torch.randn(5).half(),
        "brain.weight": torch.randn(5).bfloat16(),
        "double.weight": torch.tensor([0.5, -3.0], dtype=torch.float64),
        "scalar": torch.tensor(2.5),
        "empty.weight": torch.zeros(0, 3),
    }
    for number, save in enumerate(SAVES.values()):
        save(state, tmp_path / f"{number}.pt")
        found = read_state(tmp_path / f"{number}.pt")
        assert_same(found.tensors, state)
        assert found.notes == ()


def test_files_of_machines_with_the_other_order_of_bytes(tmp_path: Path) -> None:
    state = {"a": torch.randn(3, 4), "b": torch.randn(5).half(), "c": torch.tensor([1, 256])}
    torch.save(state, tmp_path / "little")
    with zipfile.ZipFile(tmp_path / "little") as little, zipfile.ZipFile(tmp_path / "big", "w") as big:
        for name in little.namelist():
            content, place = little.read(name), name.rpartition("/")[2]
            if "/data/" in name:
                content = np.frombuffer(content, f"u{(4, 2, 8)[int(place)]}").byteswap().tobytes()
            big.writestr(name, b"big" if place == "byteorder" else content)
    assert_same(read_state(tmp_path / "big").tensors, of(state))


NET, OTHER = of(network()), of(network("cnn_m"))
OPTIMIZER = torch.optim.Adam([nn.Parameter(torch.zeros(3))])
OPTIMIZER.param_groups[0]["params"][0].grad = torch.ones(3)
OPTIMIZER.step()


@pytest.mark.parametrize(
    ("content", "left"),
    [
        *[
            ({key: NET, "epoch": 3, "acc": 91.2}, "")
            for key in ("net", "model_state", "state_dict_ema", "module", "own")
        ],
        ({"network": Known(NET)}, ""),
        ({"state": {"model": NET, "optimizer": OPTIMIZER.state_dict()}}, ""),
        ({"a": {"b": {"c": NET}}, "adam": OPTIMIZER.state_dict(), "state": OPTIMIZER.state_dict()["state"]}, ""),
        ({"optimizer": {"averages": OTHER}, "net": NET}, ""),
        ({"state_dict": NET, "state_dict_ema": OTHER}, "'state_dict_ema'"),
        ({"model_ema": OTHER, "resnet": NET}, "'model_ema'"),
        ({"ema": {"module": OTHER}, "module": NET}, "'ema.module'"),
        ({"params_ema": OTHER, "params": NET}, "'params_ema'"),
        ({"statistics": {"mean": torch.ones(3)}, "model": NET}, "'statistics'"),
        ({"mean": torch.ones(3), "cnn": NET}, "the entries at its top"),
        (NET | {"extra": {"mean": torch.ones(3)}}, "'extra'"),
    ],
)
def test_the_weights_are_found_under_any_key(content: dict[str, Any], left: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pth")
    found = read_state(tmp_path / "file.pth")
    assert_same(found.tensors, NET)
    assert ("".join(found.notes) == "") == (left == "") and left in "".join(found.notes)


QUANTISED = {"a.weight": torch.ones(3, dtype=torch.int8), "a.scale": torch.ones(1)}
REFUSED: dict[str, Callable[[], object]] = {
    "'netG', 'netD'": lambda: {"netG": NET, "netD": OTHER},
    "'epoch', 'history', 'a'": lambda: dict.fromkeys(["epoch", "history", *"abcdef"], 3),
    "the state of an optimizer": lambda: OPTIMIZER.state_dict(),
    "whole module of class torch.nn": lambda: nn.Linear(2, 2),
    "a whole module under 'model'": lambda: {"model": nn.Linear(2, 2), "epoch": 3},
    "NumPy arrays": lambda: {"a.weight": np.ones(3), "a.bias": np.ones(3)},
    "but a tensor": lambda: torch.ones(3),
    "is complex (complex64)": lambda: {"a.weight": torch.ones(3), "filter": torch.ones(3, dtype=torch.cfloat)},
    "is complex (complex128)": lambda: {"a.weight": torch.ones(3, dtype=torch.cdouble)},
    "beyond the range of float32": lambda: {"a.weight": torch.tensor([1.0, -1e300], dtype=torch.float64)},
    "is quantised (float8_e4m3fn)": lambda: {"a.weight": torch.ones(3).to(torch.float8_e4m3fn)},
    "is of integers (int8)": lambda: QUANTISED,
    "but a sparse tensor": lambda: {"a.weight": torch.eye(3).to_sparse_csr()},
    "on the device 'meta'": lambda: {"a.weight": torch.ones(3, device="meta")},
    "but a nested tensor": lambda: {"a.weight": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])},
    "negative view": lambda: {"a.weight": torch.ones(3, dtype=torch.cfloat).conj().imag},
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested", "ignore:Sparse CSR")
@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_kept_is_refused(words: str, tmp_path: Path) -> None:
    torch.save(REFUSED[words](), tmp_path / "file")
    with pytest.raises(RejectedError) as error:
        read_state(tmp_path / "file")
    assert words in str(error.value) and "damaged" not in str(error.value)


def test_what_changes_or_stays_out_is_told(tmp_path: Path) -> None:
    state = {
        "a.weight": torch.tensor([0.1, float("nan")], dtype=torch.float64),
        "mask": torch.ones(3, dtype=torch.bool),
    }
    torch.save(state | {"bn.num_batches_tracked": torch.tensor(3)}, tmp_path / "file")
    rounded, integers = read_state(tmp_path / "file").notes
    assert "rounded to float32 ('a.weight')" in rounded and "'mask'" in integers and "tracked" not in integers


def scripted(file: Path) -> None:
    torch.jit.script(nn.Sequential(nn.Linear(2, 2))).save(str(file))


def zipped(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


FOREIGN: dict[str, bytes] = {
    "is NumPy's npz": zipped(a=np.ones(3)),
    "is an array of NumPy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "download it again": b"\n<!DOCTYPE html><html><body>Not found",
    "is HDF5": b"\x89HDF\r\n\x1a\n" + bytes(90),
    "is ONNX": b"\x08\x07\x12\x07pytorch\x1a\x052.0.0",
    "is msgpack": b"\x81\xa6params\x83\xa6Conv_0",
    "is compressed": b"\x1f\x8b\x08\x00" + bytes(90),
    "before 0.2": b"storages".ljust(257, b"\0") + b"ustar\0" + bytes(300),
    "it is empty": b"",
    "nothing but zeros": bytes(5000),
    "is text": b'  {"a": 3}',
    "neither safetensors nor": b"\xfe\xed" * 99,
    "not of torch.save": b"\x80\x04}.",
}


@pytest.mark.parametrize("words", FOREIGN)
@pytest.mark.parametrize("name", ["file.pt", "file.safetensors"])
def test_other_files_are_called_what_they_are(words: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FOREIGN[words])
    with pytest.raises(RejectedError, match=words if name.endswith("pt") else f"{words}|is damaged"):
        read_state(tmp_path / name)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_told(tmp_path: Path) -> None:
    scripted(tmp_path / "file.pt")
    with pytest.raises(RejectedError, match="is TorchScript"):
        read_state(tmp_path / "file.pt")


@pytest.mark.parametrize("name", ["m.SAFETENSORS", "pytorch_model.bin", "m.pt", "m"])
def test_the_content_says_what_a_file_is(name: str, tmp_path: Path) -> None:
    save_file(NET, tmp_path / name)
    assert_same(read_state(tmp_path / name).tensors, NET)
    torch.save(NET, tmp_path / name)
    assert_same(read_state(tmp_path / name).tensors, NET)


def test_what_is_left_over_is_told_once(tmp_path: Path) -> None:
    """Profilers' counters, an average of the weights, and a loss's own weights, in a zoo of three models."""
    models = tmp_path / "models"
    models.mkdir()
    rows = []
    for number in range(3):
        state = network("cnn_s", number)
        more = {f"{name}.total_ops": torch.zeros(1, dtype=torch.float64) for name in ("module_list.0", "module_list")}
        more |= {"ema." + name: tensor for name, tensor in network("cnn_s", 9).items()}
        torch.save({"net": more | {"criterion.weight": torch.ones(10)} | state}, models / f"{number}.pt")
        rows.append({"file": f"{number}.pt", "epoch": 1, "dataset": "mnist"})
    (models / "table.json").write_text(json.dumps(rows))
    result, zoo = take(models, tmp_path / "zoo")
    assert result.models == 3
    reasons = [fault.reason for fault in (*result.faults, *getattr(result, "notes", ()))]
    (told,) = [reason for reason in reasons if "came in without" in reason]
    assert "'criterion.weight'" in told and "and 10 more" in told and "(and 2 more)" in told
    found, layout = zoo.weights(zoo.checkpoints)
    for index, name in enumerate(json.loads(source)["name"] for source in zoo.checkpoints["source"]):
        assert_same(layout.unflatten(found[index]), of(network("cnn_s", int(name[0]))))
