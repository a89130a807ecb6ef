"""Which entry of a state dict is which of an architecture's: names decide, and an order only if it is evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from zoo.test_import import Tensors
from zoo.test_import_weights import of

from zoo_generation.networks.architectures import Architecture
from zoo_generation.networks.registry import ARCHITECTURES
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.recognise import recognise
from zoobench.zoo.importers.state import State


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
        patch.setattr(ARCHITECTURES, "_added", ARCHITECTURES._added | added)
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
