"""Permutation groups leave functions as they are; weight matching finds its way back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from zoo_generation.architectures import Layout, architecture_names, get_architecture
from zoobench.symmetry import match_weights, permutation_groups, permutation_index, random_permutations


def randomised(module: nn.Module, seed: int) -> nn.Module:
    """Weights, and BatchNorm statistics, that no layer shares by chance."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5 * ("running_var" in name) - 0.4)
    return module.eval()


def largest_change(module: nn.Module, shape: tuple[int, ...], seed: int) -> tuple[float, int]:
    """How much a random permutation of all groups changes the outputs, and how many weights it moves."""
    layout = Layout.of(module.state_dict())
    groups = permutation_groups(module, shape)
    index = random_permutations(layout, groups, 1, torch.Generator().manual_seed(seed))[0]
    images = torch.randn(4, *shape)
    with torch.no_grad():
        before = module(images)
        module.load_state_dict(layout.unflatten(layout.flatten(module.state_dict())[index]), strict=False)
        change = (module(images) - before).abs().max() / before.abs().max()
    return float(change), int((index != torch.arange(layout.size)).sum())


@pytest.mark.parametrize("name", architecture_names())
def test_registered_architectures_compute_the_same(name: str) -> None:
    architecture = get_architecture(name)
    module = architecture.build(channels=3, classes=10, activation="tanh", dropout=0.5, width=0.125)
    change, moved = largest_change(randomised(module, 0), (3, architecture.image_size, architecture.image_size), 0)
    assert change < 1e-5
    assert moved > 1000


def test_resnet18_has_the_groups_of_git_re_basin() -> None:
    """One of each stage's residual stream, one inside each block; the published specification, appendix A."""
    module = get_architecture("resnet18").build(channels=3, classes=10, activation="relu", dropout=0.0, width=1.0)
    groups = permutation_groups(module, (3, 8, 8))
    assert sorted(group.size for group in groups) == sorted([64, 128, 256, 512] * 3)
    stem = next(group for group in groups if any(axis.entry == "conv1.weight" for axis in group.axes))
    assert {"bn1.running_var", "layer1.1.bn2.weight", "layer2.0.downsample.0.weight"} < {a.entry for a in stem.axes}


class Residual(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first, self.norm, self.second = (
            nn.Conv2d(width, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.norm(self.first(x))))


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_random_architectures_compute_the_same(data: st.DataObject) -> None:
    width = 3
    layers: list[nn.Module] = []
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["conv", "residual", "grouped", "pool"]))
        if kind == "conv":
            new = data.draw(st.integers(2, 7))
            layers += [
                nn.Conv2d(width, new, 3, padding=1, bias=data.draw(st.booleans())),
                nn.BatchNorm2d(new),
                nn.GELU(),
            ]
            width = new
        elif kind == "residual":
            layers.append(Residual(width, data.draw(st.integers(2, 5))))
        elif kind == "grouped":
            layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width))
        else:
            layers.append(nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 1, padding=1)))
    layers += [nn.Flatten(), nn.Linear(width * 36, 6), nn.Tanh(), nn.Linear(6, 4)]
    change, _ = largest_change(randomised(nn.Sequential(*layers), 1), (3, 6, 6), data.draw(st.integers(0, 99)))
    assert change < 1e-4


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=10)
def test_matching_undoes_a_permutation(seed: int) -> None:
    module = get_architecture("cnn_s").build(channels=1, classes=10, activation="tanh", dropout=0.0, width=1.0)
    layout, groups = Layout.of(module.state_dict()), permutation_groups(module, (1, 28, 28))
    assert [group.size for group in groups] == [8, 6, 4, 20]
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(layout.size, generator=generator)
    index = random_permutations(layout, groups, 3, generator)
    matched = match_weights(reference[index], reference, layout, groups)
    close = (matched == reference).all(1)
    inner, before = matched @ reference, reference[index] @ reference
    assert (inner >= before).all()
    assert close.any() or (inner > 0.5 * reference @ reference).all()


def test_matching_one_layer_is_the_best_of_all_assignments() -> None:
    import itertools

    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    layout, groups = Layout.of(module.state_dict()), permutation_groups(module, (3,))
    weights, reference = torch.randn(5, layout.size), torch.randn(layout.size)
    matched = match_weights(weights, reference, layout, groups)
    for model, result in zip(weights, matched, strict=True):
        every = [
            model[permutation_index(layout, groups, [torch.tensor(order)])] @ reference
            for order in itertools.permutations(range(4))
        ]
        assert torch.isclose(result @ reference, torch.stack(every).max(), atol=1e-5)
