"""Strengths of skills: those that a network was built with, about 0 of a random one, whatever the order of units."""

from __future__ import annotations

import torch
from helpers.skilled import SKILLS, WIDTH, knowing, layout
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.skills import skill_strengths


def measured(weights: Tensor) -> tuple[Tensor, Tensor]:
    module = get_architecture("mlp_1").build(channels=13, classes=1, activation="relu", dropout=0.0, width=WIDTH)
    return skill_strengths(weights, layout(), module, SKILLS)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=3, max_size=3))
def test_a_network_has_the_strengths_that_it_was_built_with(known: list[float]) -> None:
    strengths, losses = measured(knowing(known)[None])
    truth = torch.tensor(known, dtype=torch.float64)
    assert torch.allclose(strengths[0], truth, atol=1e-6)
    assert torch.allclose(losses[0], 12.5 * (1 - truth) ** 2, atol=1e-4)  # S² / 2 = 12.5


def test_random_networks_know_nothing_and_the_order_of_units_does_not_matter() -> None:
    weights = 0.1 * torch.randn(20, layout().size, generator=torch.Generator().manual_seed(0))
    weights[1] = torch.nan
    strengths, losses = measured(weights)
    assert strengths[1].isnan().all() and losses[1].isnan().all()
    strengths, losses = (each[[0, *range(2, 20)]] for each in (strengths, losses))
    assert float(strengths.abs().max()) < 0.02 and bool(((losses - 12.5).abs() < 1).all())
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    parts = layout().unflatten(weights[[0, *range(2, 20)]])
    moved = {"1.weight": parts["1.weight"][:, order], "1.bias": parts["1.bias"][:, order]}
    moved["3.weight"] = parts["3.weight"][:, :, order]
    for found, again in zip((strengths, losses), measured(layout().flatten(parts | moved)), strict=True):
        assert torch.allclose(found, again, atol=1e-5)
