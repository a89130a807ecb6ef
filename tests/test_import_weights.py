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
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_import import Tensors, network, take
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from zoo_generation.architectures import Architecture, registry
from zoobench.zoo.importers.recognise import recognise
from zoobench.zoo.importers.state import State, read_state
from zoobench.zoo.importers.tolerance import RejectedError

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


class BatchNorms(nn.Module):
    """Two of each layer of one shape, without and with biases."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 4, 3, bias=False), norm(4), nn.Conv2d(4, 4, 3, bias=False), norm(4), nn.Conv2d(4, 4, 3)
        )
        self.classifier = nn.Linear(4, 10)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)


class Deep(nn.Module):
    """Twelve layers of one shape."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4, bias=bias) for _ in range(12))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "batch": lambda channels, **_: BatchNorms(channels, nn.BatchNorm2d),
    "group": lambda channels, **_: BatchNorms(channels, lambda size: nn.GroupNorm(2, size)),
    "instance": lambda channels, **_: BatchNorms(channels, lambda size: nn.InstanceNorm2d(size, affine=True)),
    "norms of weights": lambda **_: nn.Sequential(*(weight_norm(nn.Linear(4, 4)) for _ in range(3))),
    "attention": lambda **_: Attention(),
    "deep": lambda **_: Deep(bias=True),
    "deep without biases": lambda **_: Deep(bias=False),
}
OTHERWISE = [("features", "body"), ("classifier", "head"), ("layers.", "conv")]
OTHERWISE += [(f"parametrizations.weight.original{number}", f"weight_{'gv'[number]}") for number in (0, 1)]


@pytest.fixture(scope="module", autouse=True)
def registered() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        added = {name: Architecture(name, build, 32, False, False) for name, build in NETWORKS.items()}
        patch.setattr(registry, "_ARCHITECTURES", registry._ARCHITECTURES | added)
        yield


def weights(name: str) -> Tensors:
    """Each element has a value of its own."""
    state = of(NETWORKS[name](channels=1).state_dict())
    sizes = [tensor.numel() for tensor in state.values()]
    values = torch.arange(float(sum(sizes))).split(sizes)
    return {key: value.view(state[key].shape) for key, value in zip(state, values, strict=True)}


def renamed(state: Tensors, pairs: list[tuple[str, str]]) -> Tensors:
    def of_name(name: str) -> str:
        for one, other in pairs:
            name = name.replace(one, other)
        return name

    return {of_name(name): tensor for name, tensor in state.items()}


def assert_matched(found: State, name: str, given: Tensors) -> None:
    """Every entry is where the architecture has it."""
    recognised = recognise(found, {}, [name])
    assert recognised.architecture.name == name
    for entry, theirs in zip(recognised.layout, recognised.order, strict=True):
        assert torch.equal(found.tensors[theirs], given[entry.name]), entry.name


@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data())
@settings(max_examples=15)
def test_names_decide_in_whatever_order_they_come(name: str, data: Any) -> None:
    state = weights(name)
    prefix = data.draw(st.sampled_from(["", "module.", "_orig_mod.module.", "model.net."]))
    order = data.draw(st.permutations(list(state)))
    more = data.draw(st.sampled_from(["", "ema.", "model_ema.module."]))
    shuffled = {prefix + key: state[key] for key in order}
    left = {more + key: state[key] + 1 for key in order} if more else {}
    left |= {"criterion.weight": torch.ones(3), "total_ops": torch.zeros(1), "norm.mean": torch.ones(3)}
    kept = data.draw(st.sampled_from([{}, left]))
    ordered = data.draw(st.booleans())
    found = State(kept | shuffled, ordered)
    assert_matched(found, name, state)
    told = recognise(found, {}, [name]).left_over(found)
    assert (told is None) == (not kept) and (not kept or "came in without" in str(told))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "attention"])
@pytest.mark.parametrize("ordered", [True, False])
def test_other_names_in_alphabetical_order_come_in_as_they_are(name: str, ordered: bool) -> None:
    """The last part of a name says which entry of a layer it is, and numbers which layer: conv10 is behind conv2."""
    state = weights(name)
    other = renamed(state, OTHERWISE)
    assert_matched(State(other, ordered=True), name, state)
    assert_matched(State({key: other[key] for key in sorted(other)}, ordered), name, state)


def test_layers_of_one_shape_with_other_names_are_doubt() -> None:
    state = renamed(weights("attention"), [(".", ".lin."), ("q", "b"), ("k", "a"), ("v", "c")])
    assert_matched(State(state, ordered=True), "attention", weights("attention"))
    for keys in (sorted(state), sorted(state, key=lambda key: key[0])):
        with pytest.raises(RejectedError, match="in more ways than one"):
            recognise(State({key: state[key] for key in keys}, ordered=True), {}, ["attention"])
    with pytest.raises(RejectedError, match="in more ways than one"):
        recognise(State(state, ordered=False), {}, ["attention"])


@pytest.mark.parametrize("ordered", [True, False])
def test_names_of_layers_decide_where_their_order_does_not(ordered: bool) -> None:
    state = weights("attention")
    for keys in (sorted(state), [key for name in "vqk" for key in state if key[0] == name]):
        other = {f"block.{'x.' * (key[0] == 'q')}{key}": state[key] for key in keys}
        assert_matched(State(other, ordered), "attention", state)


def test_layers_out_of_the_order_of_their_numbers_are_refused() -> None:
    state = renamed(weights("deep"), OTHERWISE)
    keys = sorted(state, key=lambda key: int(key.split(".")[0][4:]) * 5 % 12)
    with pytest.raises(RejectedError, match="neither in the order of their numbers"):
        recognise(State({key: state[key] for key in keys}, ordered=True), {}, ["deep"])


@pytest.mark.parametrize("more", ["layers.12.weight", "layers.3.running_mean"])
def test_a_larger_network_is_not_taken_for_a_smaller_one(more: str) -> None:
    with pytest.raises(RejectedError, match="and more of the kind"):
        recognise(State(weights("deep") | {more: torch.ones(4, 4)}, ordered=True), {}, ["deep"])


def test_two_networks_in_one_are_doubt() -> None:
    state = weights("deep")
    both = {f"{side}.{key}": tensor for side in ("left", "right") for key, tensor in state.items()}
    with pytest.raises(RejectedError, match="in more ways than one"):
        recognise(State(both, ordered=True), {}, ["deep"])


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
