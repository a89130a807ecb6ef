"""Tokens against the recorded outputs of the published tokenizer, and there and back again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from zoo_generation.architectures import Layout, architecture_names, get_architecture
from zoobench.tokens import Tokenizer


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
