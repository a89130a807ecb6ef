"""Matching undoes symmetries, is the best where all can be tried, and leaves functions alone; scales are balanced."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers.flat_models import build, flat, narrow, outputs, randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry import (
    balance_scales,
    match_weights,
    random_symmetries,
    symmetry_groups,
    symmetry_map,
)


def counted(layout: Layout) -> Tensor:
    """1 for weights [D], 0 for running statistics."""
    return torch.cat([torch.full((entry.numel,), float("running_" not in entry.name)) for entry in layout])


@given(st.integers(0, 2**31), st.sampled_from(["cnn_s", "mlp", "resnet18"]))
@settings(deadline=None, max_examples=10)
def test_matching_undoes_permutations_and_flips(seed: int, name: str) -> None:
    torch.manual_seed(seed)
    module = build(name, "tanh", width=narrow(name))
    layout, groups = Layout.of(module.state_dict()), symmetry_groups(module, (3, 28, 28))
    reference = layout.flatten(module.state_dict())
    index, factor = random_symmetries(layout, groups, 4, torch.Generator().manual_seed(seed))
    before = reference[index] * factor
    matched = match_weights(before, reference, layout, groups)
    again = match_weights(before[2:3], reference, layout, groups)
    assert torch.equal(matched[2:3], again)
    goal = reference * counted(layout)
    assert (matched @ goal >= before @ goal - 1e-4).all()
    assert torch.isclose(matched, reference).all(1).any() or (matched @ goal > 0.5 * reference @ goal).all()


@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm1d(4)])
def test_matching_one_layer_is_the_best_of_all(flips: bool, norm: nn.Module) -> None:
    """All 4! permutations and 2⁴ signs; running statistics do not count."""
    module = nn.Sequential(nn.Linear(3, 4), norm, nn.Tanh(), nn.Linear(4, 2))
    layout, groups = Layout.of(module.state_dict()), symmetry_groups(module, (3,))
    counts = counted(layout)
    weights, reference = torch.randn(5, layout.size), torch.randn(layout.size)
    matched = match_weights(weights, reference, layout, groups, flips=flips)
    orders = torch.tensor(list(itertools.permutations(range(4))))[:, None].expand(-1, 16, -1)
    signs = torch.tensor(list(itertools.product([1.0, -1.0], repeat=4))) if flips else torch.ones(16, 4)
    index, factor = symmetry_map(layout, groups, [orders, signs])
    every = (weights[:, index] * factor * counts) @ reference
    assert torch.allclose((matched * counts) @ reference, every.flatten(1).amax(1), atol=1e-5)


@given(st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=10)
def test_matching_leaves_functions_and_broken_models_alone(seed: int, flips: bool) -> None:
    """Also where an axis is flipped from both sides (depthwise), and where units flip that cannot be permuted."""
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 1, groups=4), nn.Tanh(), nn.Conv2d(4, 5, 1),
        nn.BatchNorm2d(5), nn.Tanh(), nn.Conv2d(5, 4, 1), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    layout, _ = flat(module)
    models = torch.stack([flat(randomised(module, seed + model))[1] for model in range(4)])
    groups = symmetry_groups(module, (2, 4, 4))
    matched = match_weights(models[:3], models[3], layout, groups, flips=flips)
    assert ((matched - models[:3]) @ (models[3] * counted(layout))).min() > -1e-6
    for before, after in zip(models, matched, strict=False):
        change = outputs(module, layout, before, (2, 4, 4)) - outputs(module, layout, after, (2, 4, 4))
        assert change.abs().max() < 1e-6
    broken = models[:3].clone()
    broken[0, 5], broken[2, 7] = torch.nan, torch.inf
    mended = match_weights(broken, models[3], layout, groups, flips=flips)
    assert torch.equal(mended[1], matched[1])
    assert torch.equal(mended.nan_to_num()[::2], broken.nan_to_num()[::2])


@pytest.mark.parametrize("name", ["cnn_s", "resnet18"])
def test_balanced_scales_are_canonical(name: str) -> None:
    """Scaled copies of a model are balanced to the same weights, of the smallest norm; a function stays itself."""
    module = randomised(build(name, "relu", width=narrow(name)))
    layout, weights = flat(module)
    groups = symmetry_groups(module, (3, 28, 28))
    _, factor = random_symmetries(
        layout, [group for group in groups if group.kind == "scale"], 3, torch.Generator().manual_seed(0), scales=0.3
    )
    copies = weights * factor
    balanced = balance_scales(copies, layout, groups)
    assert torch.allclose(balanced, balanced[:1].expand(3, -1), rtol=1e-3, atol=1e-5)
    assert (balanced.norm(dim=1) <= copies.norm(dim=1)).all()
    before, after = (outputs(module, layout, each[0], (3, 28, 28)) for each in (copies, balanced))
    assert (after - before).abs().max() < 1e-5 * before.abs().max()
