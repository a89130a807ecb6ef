"""SANE on an accelerator, as far as a CPU can show it: windows drawn on a device, and a model that is not compiled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from zoo.test_zoo import two_architectures

from zoobench.methods.sane import SaneConfig
from zoobench.methods.sane.canonical import random_view
from zoobench.methods.sane.device import AheadSampler, ResidentSampler, compiled, on_device
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.training import Training
from zoobench.methods.sane.windows import WindowSampler
from zoobench.populations import TokenSet, select_checkpoints

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenSet:
    """Models of two architectures."""
    zoo = two_architectures(tmp_path_factory.mktemp("zoo"), 4, 3)
    return TokenSet.load(select_checkpoints([zoo], token_size=64))


def sampler(tokens: TokenSet, window: int, flips: bool = True, **settings: Any) -> WindowSampler:
    generator = torch.Generator().manual_seed(0)
    views = [random_view(population, 3, flips, generator) for population in tokens.populations]
    return WindowSampler(tokens.populations, [views[0], None], window, seed=1, **settings)


@pytest.mark.parametrize("normalization", ["token", "layer"])
@pytest.mark.parametrize("window", [10, 100_000])
def test_windows_drawn_on_a_device_are_those_of_models_and_their_views(
    tokens: TokenSet, window: int, normalization: str
) -> None:
    """Every element of both views is where the tokenizer and one of the maps of a view put it."""
    scaled = Standardization.of(tokens.populations) if normalization == "layer" else Standardization()
    host = sampler(tokens, window, standardization=scaled)
    batch = ResidentSampler(host, CPU).draw(3, 12)
    longest = min(window, max(len(each.tokenizer) for each in tokens.populations))
    assert batch.targets.shape == (2, 12, longest, 64) and batch.whole == (window == 10)
    assert not batch.targets[:, ~batch.mask].any() and torch.equal(batch.inputs, batch.targets)
    owners = set()
    for window_of, mask, positions, real in zip(
        batch.targets.unbind(1), batch.mask, batch.positions, batch.real, strict=True
    ):
        fits = [p for p in tokens.populations if _holds(p, host, scaled, window_of, mask, positions, real)]
        assert fits
        owners |= {each.name for each in fits}
    assert owners == {population.name for population in tokens.populations}


def _holds(
    p: Any, host: WindowSampler, scaled: Standardization, window: Any, mask: Any, positions: Any, real: Any
) -> bool:
    places, tokenizer = positions[real, 0].long(), p.tokenizer
    if places.max() >= len(tokenizer) or not torch.equal(tokenizer.positions[places], positions[real]):
        return False
    view = dict(zip((each.name for each in host.populations), host.views, strict=True))[p.name]
    index = tokenizer.index.clamp(max=p.layout.size - 1)
    maps = (
        [(index, None)]
        if view is None
        else [
            (source, None if view.factors is None else factor)
            for source, factor in zip(
                view.sources.long(), view.sources if view.factors is None else view.factors, strict=True
            )
        ]
    )

    def tokens_of(flat: Any, source: Any, factor: Any) -> Any:
        found = flat[source[places]] * (1 if factor is None else factor[places]) * tokenizer.mask[places]
        return scaled.standardised(found, tokenizer, places)

    return torch.equal(tokenizer.mask[places], mask[real]) and any(
        torch.allclose(tokens_of(flat, index, None), window[0][real], atol=1e-6)
        and any(torch.allclose(tokens_of(flat, *each), window[1][real], atol=1e-6) for each in maps)
        for flat in p.weights
    )


def test_a_batch_on_a_device_depends_on_its_number_only(tokens: TokenSet) -> None:
    one, other = (ResidentSampler(sampler(tokens, 10, noise=0.1, erase=0.5), CPU) for _ in range(2))
    other.draw(4, 8)
    for name, part in vars(one.draw(3, 8)).items():
        assert name == "whole" or torch.equal(part, getattr(other.draw(3, 8), name))
    assert not torch.equal(one.draw(3, 8).targets, one.draw(4, 8).targets)


def test_batches_drawn_ahead_are_the_same_to_the_bit(tokens: TokenSet) -> None:
    host = sampler(tokens, 10, noise=0.1)
    ahead = AheadSampler(host, CPU)
    for number in (0, 1, 2, 7, 1):
        assert torch.equal(ahead.draw(number, 8).inputs, host.draw(number, 8).inputs)
    assert on_device(host, CPU) is host and isinstance(on_device(host, torch.device("meta")), AheadSampler)


def test_training_on_windows_of_a_device_learns(tokens: TokenSet) -> None:
    config = SaneConfig(d_model=16, heads=2, layers=1, latent=8, window=10, halo=2, batch_size=8, steps=60)
    torch.manual_seed(0)
    run = Training(Autoencoder(64, 8, 16, 2, 1, (10, 10, 10), 10, positions="sinusoidal"), config)
    source = ResidentSampler(sampler(tokens, 10), CPU)
    losses = [run.advance(source).values()["reconstruction"] for _ in range(config.steps)]
    assert sum(losses[-10:]) < 0.98 * sum(losses[:10])


def test_a_model_that_does_not_compile_trains_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler is here")

    model = torch.nn.Linear(2, 1)
    monkeypatch.setattr(torch, "compile", fails)
    with pytest.warns(UserWarning, match="no compiler is here"):
        assert compiled(model, lambda each: each(torch.ones(1, 2)).sum()) is model
    assert model.weight.grad is None
