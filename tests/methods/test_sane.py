"""SANE against the recorded outputs of the published implementation, and against slow, obvious versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from zoobench.methods.density import draw
from zoobench.methods.sane import SaneConfig
from zoobench.methods.sane.loss import EPSILON, nt_xent, reconstruction
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.published import autoencoder_from_published
from zoobench.methods.sane.training import losses_of
from zoobench.methods.sane.windows import Batch, halo_starts, in_windows


def test_autoencoder_equals_the_reference(vectors: Path) -> None:
    config = json.loads((vectors / "autoencoder.config.json").read_text())
    recorded = load_file(vectors / "autoencoder.io.safetensors")
    model = autoencoder_from_published(load_file(vectors / "autoencoder.weights.safetensors"), config["ae:nhead"])
    outputs, projections = [], []
    for view in ("i", "j"):
        latents = model.encode(recorded[f"x_{view}"], recorded["positions"])
        outputs.append(model.decode(latents, recorded["positions"]))
        projections.append(model.project(latents))
        torch.testing.assert_close(latents, recorded[f"z_{view}"], atol=1e-5, rtol=0)
        torch.testing.assert_close(outputs[-1], recorded[f"y_{view}"], atol=1e-5, rtol=0)
        torch.testing.assert_close(projections[-1], recorded[f"projection_{view}"], atol=1e-5, rtol=0)
    contrastive = nt_xent(*projections, temperature=0.1)
    targets, mask = torch.cat([recorded["x_i"], recorded["x_j"]]), torch.cat([recorded["mask"]] * 2)
    error = reconstruction(torch.cat(outputs), targets, mask, "batch")
    torch.testing.assert_close(contrastive, recorded["nt_xent_t0.1"], atol=1e-5, rtol=0)
    torch.testing.assert_close(error, recorded["masked_mse_batch_normalized"], atol=1e-5, rtol=0)
    torch.testing.assert_close(0.05 * contrastive + 0.95 * error, recorded["gamma0.05_loss"], atol=1e-5, rtol=0)

    views = torch.stack([recorded["x_i"], recorded["x_j"]])
    real = torch.ones(recorded["mask"].shape[:2], dtype=torch.bool)
    batch = Batch(views, views, recorded["mask"], recorded["positions"], real, whole=True)
    losses = losses_of(model, batch, SaneConfig(gamma=0.05, normalization="batch"))
    torch.testing.assert_close(losses.total, recorded["gamma0.05_loss"], atol=1e-5, rtol=0)


def test_halo_windows_equal_the_reference(vectors: Path) -> None:
    recorded = load_file(vectors / "halo.window12.halo3.safetensors")
    sequence, places = recorded["sequence"], recorded["window_positions"]
    starts = halo_starts(sequence.shape[1], 18, 3)
    index = starts[:, None] + torch.arange(18)
    assert torch.equal(sequence[:, index], recorded["windows"])
    given: list[torch.Tensor] = []

    def run(features: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        given.append(features)
        return features + positions.sum(-1, keepdim=True)

    positions = torch.zeros(sequence.shape[1], 3, dtype=torch.long)
    positions[index] = places[0]
    whole = in_windows(run, sequence, positions, 18, 3)
    assert torch.equal(torch.cat(given).view_as(recorded["windows"]), recorded["windows"])
    assert torch.equal(whole, sequence + positions.sum(-1, keepdim=True))


def test_untrained_skips_keep_tokens_that_fit_into_their_latent() -> None:
    def error(latent: int, skip: bool) -> float:
        torch.manual_seed(0)
        model = Autoencoder(12, latent, 16, 2, 2, (6, 3, 5), window=6, positions="sinusoidal", skip=skip).eval()
        tokens, positions = torch.randn(8, 6, 12), torch.zeros(8, 6, 3, dtype=torch.int32)
        decoded = model.decode(model.encode(tokens, positions), positions).detach()
        return float((decoded - tokens).square().mean() / tokens.square().mean())

    assert error(12, skip=True) < 0.05
    assert error(24, skip=True) < 0.05
    assert error(6, skip=True) > 0.3  # half of a token does not fit
    assert error(12, skip=False) > 0.9


def test_padding_and_missing_tokens_change_nothing() -> None:
    torch.manual_seed(0)
    model = Autoencoder(8, 4, 16, 2, 2, (12, 3, 5), window=12).eval()
    tokens, positions = torch.randn(3, 7, 8), torch.randint(0, 3, (3, 7, 3))
    real = torch.arange(12).expand(3, 12) < 7
    longer = torch.cat([tokens, torch.randn(3, 5, 8)], dim=1)
    longer_positions = torch.cat([positions, torch.zeros(3, 5, 3, dtype=torch.long)], dim=1)
    latents, padded = model.encode(tokens, positions), model.encode(longer, longer_positions, real)
    torch.testing.assert_close(padded[:, :7], latents)
    torch.testing.assert_close(model.project(padded, real), model.project(latents))


@given(st.integers(0, 2**31), st.sampled_from(["token", "batch", "none"]))
def test_reconstruction_equals_the_obvious_loop(seed: int, normalization: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    output, target = torch.randn(2, 2, 3, 5, generator=generator)
    mask = torch.rand(2, 3, 5, generator=generator) < 0.7
    mask[..., 0] = True
    errors = []
    for b in range(2):
        for t in range(3):
            real = mask[b, t]
            scale = {"token": target[b, t][real], "batch": target[mask], "none": None}[normalization]
            divisor = 1.0 if scale is None else scale.var(correction=0) + EPSILON
            if normalization == "batch":
                divisor = (scale.std(correction=0) + EPSILON) ** 2
            errors += ((output[b, t][real] - target[b, t][real]) ** 2 / divisor).tolist()
    result = reconstruction(output, target, mask, normalization)  # type: ignore[arg-type]
    assert result.item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)


@given(length=st.integers(1, 90), window=st.integers(9, 30), halo=st.integers(0, 4))
def test_windows_give_each_token_its_neighbours(length: int, window: int, halo: int) -> None:
    def sum_of_neighbours(values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        assert values.shape[1] <= window and values.shape[:2] == positions.shape[:2]
        padded = torch.nn.functional.pad(values, (0, 0, halo, halo))
        return padded.unfold(1, 2 * halo + 1, 1).sum(-1)

    sequence = torch.randn(2, length, 1, dtype=torch.float64)
    positions = torch.arange(length)[:, None].expand(length, 3)
    whole = torch.nn.functional.pad(sequence, (0, 0, halo, halo)).unfold(1, 2 * halo + 1, 1).sum(-1)
    torch.testing.assert_close(in_windows(sum_of_neighbours, sequence, positions, window, halo), whole)


def test_draws_are_anchors_plus_noise() -> None:
    anchors = torch.randn(5, 6, 3)
    for density, shared in (("joint", (1, 2)), ("token", (2,)), ("individual", ())):
        drawn = draw(anchors, 50, density, 0.0, False, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
        matches = anchors[None] == drawn[:, None]  # [draws, anchors, tokens, dims]
        for dim in sorted(shared, reverse=True):
            matches = matches.all(dim + 1)
        assert matches.any(1).all()
    wide = draw(anchors, 4000, "joint", 0.2, False, torch.Generator().manual_seed(0))
    noise = torch.stack([(wide - anchor).flatten(1) for anchor in anchors]).abs().mean(-1).min(0)
    assert noise.values.mean().item() == pytest.approx(0.2 * (2 / torch.pi) ** 0.5, rel=0.05)
