"""Tokens against the recorded outputs of the published tokenizer, and there and back again."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from zoo_generation.networks.architectures import Layout, architecture_names, get_architecture
from zoobench.populations import Tokenizer


@pytest.mark.parametrize(
    ("architecture", "recorded", "channels", "size", "asked"),
    [
        ("cnn_s", "cnn-s", 1, 201, 201),
        ("cnn_s", "cnn-s", 1, 201, 0),
        ("cnn_s", "cnn-s", 1, 64, 64),
        ("cnn_l", "cnn-l", 3, 288, 288),
        ("cnn_l", "cnn-l", 3, 64, 64),
    ],
)
def test_cnn_equals_the_reference(
    vectors: Path, architecture: str, recorded: str, channels: int, size: int, asked: int
) -> None:
    state = load_file(vectors / f"{recorded}.checkpoint.safetensors")
    expected = load_file(vectors / f"{recorded}.tokens{size}.safetensors")
    layout = get_architecture(architecture).layout(channels, 10)
    tokenizer = Tokenizer.of(layout, asked)
    tokens = tokenizer.tokens(layout.flatten(state)[None])[0]
    assert torch.equal(tokens, expected["tokens"])
    assert torch.equal(tokenizer.mask, expected["mask"])
    assert torch.equal(tokenizer.positions, expected["positions"])
    back = layout.unflatten(tokenizer.weights(tokens[None])[0])
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


@pytest.mark.parametrize(("case", "batch_norm"), [("resnet-18@288", True), ("resnet-18@288-no-bn", False)])
def test_resnet18_equals_the_reference(vectors: Path, case: str, batch_norm: bool) -> None:
    summary = json.loads((vectors / "tokens.summary.json").read_text())
    with torch.device("meta"):
        state = (
            get_architecture("resnet18")
            .build(channels=3, classes=10, activation="relu", dropout=0.0, width=1.0)
            .state_dict()
        )
    assert list(state) == summary["resnet-18 keys"]
    state = {
        name: torch.sin(0.01 * torch.arange(value.numel()) + j).reshape(value.shape)
        for j, (name, value) in enumerate(state.items())
        if value.is_floating_point()
    }
    expected = summary[case]
    layout = Layout.of(state)
    tokenizer = Tokenizer.of(layout, 288, batch_norm=batch_norm)
    tokens = tokenizer.tokens(layout.flatten(state)[None])[0]
    assert list(tokens.shape) == expected["shape"]
    assert int(tokenizer.mask.sum()) == expected["mask_sum"]
    assert tokenizer.positions.max(0).values.tolist() == expected["max_position"]
    assert tokenizer.positions[:, 1].bincount().tolist() == expected["tokens_per_layer"]
    assert torch.equal(tokens[0, :5], torch.tensor(expected["first_token"]))
    assert tokens.double().sum().item() == pytest.approx(expected["token_sum"], abs=1e-9)
    weighted = tokens.double().sum(1) @ torch.arange(len(tokens), dtype=torch.float64)
    assert weighted.item() == pytest.approx(expected["weighted_sum"], abs=1e-4)


SIZES = st.integers(1, 5)
LAYERS = st.one_of(
    st.builds(nn.Linear, SIZES, SIZES, bias=st.booleans()),
    st.builds(nn.Bilinear, SIZES, SIZES, SIZES, bias=st.booleans()),
    st.builds(nn.Conv1d, SIZES, SIZES, SIZES, bias=st.booleans()),
    st.builds(nn.Conv2d, SIZES, SIZES, st.tuples(SIZES, SIZES), bias=st.booleans()),
    st.builds(nn.Conv3d, SIZES, SIZES, SIZES, bias=st.booleans()),
    st.builds(nn.ConvTranspose2d, SIZES, SIZES, SIZES, bias=st.booleans()),
    SIZES.map(lambda groups: nn.Conv2d(groups * 2, groups * 3, 2, groups=groups)),
    st.builds(nn.BatchNorm1d, SIZES, affine=st.booleans(), track_running_stats=st.booleans()),
    st.builds(nn.BatchNorm2d, SIZES, affine=st.booleans(), track_running_stats=st.booleans()),
    st.builds(nn.InstanceNorm2d, SIZES, affine=st.booleans(), track_running_stats=st.booleans()),
    st.builds(nn.LayerNorm, st.lists(SIZES, min_size=1, max_size=3), bias=st.booleans()),
    SIZES.map(lambda groups: nn.GroupNorm(groups, groups * 2)),
    st.builds(nn.PReLU, SIZES),
    st.builds(nn.Embedding, SIZES, SIZES),
    st.builds(nn.LSTMCell, SIZES, SIZES, bias=st.booleans()),
    SIZES.map(lambda heads: nn.MultiheadAttention(2 * heads, heads)),
    SIZES.map(lambda size: nn.utils.parametrizations.weight_norm(nn.Linear(size, 3))),
)
MODULES = st.recursive(LAYERS, lambda inner: st.lists(inner, min_size=1, max_size=4).map(lambda m: nn.Sequential(*m)))


@given(module=MODULES, token_size=st.integers(0, 40), batch_norm=st.booleans(), models=st.integers(1, 3))
def test_any_module_comes_back_exactly(module: nn.Module, token_size: int, batch_norm: bool, models: int) -> None:
    layout = Layout.of(module.state_dict())
    tokenizer = Tokenizer.of(layout, token_size, batch_norm)
    weights = torch.arange(1.0, models * layout.size + 1).view(models, layout.size)
    tokens = tokenizer.tokens(weights)
    assert tokens.shape == (models, len(tokenizer), tokenizer.token_size)
    for flat, tokenized in zip(weights, tokens, strict=True):
        assert torch.equal(tokenized[tokenizer.mask], F.pad(flat, (0, 1))[tokenizer.index[tokenizer.mask]])
    assert not tokens[:, ~tokenizer.mask].any()
    back = tokenizer.weights(tokens, base=-weights)
    assert torch.equal(back.abs(), weights)
    double = tokenizer.weights(tokens.double(), base=-weights)  # where the kernel for float32 cannot be used
    assert torch.equal(double, back.double())
    state = layout.unflatten(back)
    norms = {name.rpartition(".")[0] for name in state if name.endswith("running_mean")}
    for name, value in state.items():
        owner, _, kind = name.rpartition(".")
        held = not kind.startswith("running_") and (batch_norm or owner not in norms)
        assert (value > 0).all() if held else (value < 0).all()


def test_a_forked_process_reads_tokens_back() -> None:
    """As a data loader's worker does, where the kernel of its parent must not be used."""
    tokenizer = Tokenizer.of(get_architecture("cnn_s").layout(1, 10), 64)
    weights = torch.randn(3, tokenizer.layout.size)
    tokens = tokenizer.tokens(weights)
    assert torch.equal(tokenizer.weights(tokens), weights)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(torch.equal(tokenizer.weights(tokens), weights)))
    child.start()
    child.join(60)
    assert child.exitcode == 0 and results.get()


@given(
    name=st.sampled_from(architecture_names()),
    channels=st.sampled_from([1, 3]),
    classes=st.sampled_from([2, 10, 100]),
    width=st.sampled_from([0.03125, 0.0625, 0.125]),
    token_size=st.integers(0, 300),
    seed=st.integers(0, 2**31),
)
def test_tokens_and_back_is_the_identity(
    name: str, channels: int, classes: int, width: float, token_size: int, seed: int
) -> None:
    layout = get_architecture(name).layout(channels, classes, width)
    tokenizer = Tokenizer.of(layout, token_size)
    weights = torch.randn(2, layout.size, generator=torch.Generator().manual_seed(seed))
    state = layout.unflatten(weights)
    tokens = tokenizer.tokens(layout.flatten(state))
    assert torch.equal(tokenizer.weights(tokens, base=weights), weights)
    assert torch.equal(tokenizer.tokens(tokenizer.weights(tokens)), tokens)
    assert not tokens[:, ~tokenizer.mask].any()
