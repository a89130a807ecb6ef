"""Symmetries leave functions as they are; all of them are found, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.flat_models import build, flat, outputs, randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.networks.architectures import Layout, architecture_names, get_architecture
from zoo_generation.networks.registry import ACTIVATIONS
from zoo_generation.networks.symmetry import (
    Group,
    permutation_groups,
    permutation_index,
    random_permutations,
    random_symmetries,
    symmetry_groups,
    symmetry_map,
)

KINDS = ("permutation", "flip", "scale")


def assert_same_function(module: nn.Module, shape: tuple[int, ...], seed: int = 0) -> tuple[Group, ...]:
    """Each kind of symmetry alone, and all together, changes weights and not outputs; returns the groups."""
    layout, weights = flat(randomised(module, seed))
    groups = symmetry_groups(module, shape)
    before = outputs(module, layout, weights, shape)
    assert before.std() > 0
    for kinds in (*((kind,) for kind in KINDS), KINDS):
        some = [group for group in groups if group.kind in kinds]
        generator = torch.Generator().manual_seed(seed)
        index, factor = random_symmetries(layout, some, 1, generator, scales=0.5)
        assert index.dtype == torch.int64
        assert factor.dtype == torch.float32
        moved = weights[index[0]] * factor[0]
        change = (outputs(module, layout, moved, shape) - before).abs().max() / before.abs().max()
        assert change < 1e-5, kinds
        assert (moved != weights).any() or "scale" not in {group.kind for group in some}
    return groups


@pytest.mark.parametrize("activation", ACTIVATIONS.names())
@pytest.mark.parametrize("name", architecture_names())
def test_registered_architectures_compute_the_same(name: str, activation: str) -> None:
    size = get_architecture(name).image_size
    groups = assert_same_function(build(name, activation), (3, size, size))
    kinds = {group.kind for group in groups}
    assert kinds == {"permutation"} | {"tanh": {"flip"}, "relu": {"scale"}}.get(activation, set())


def test_flips_and_scales_of_a_cnn_stop_where_they_must() -> None:
    """Max-pooling in front of tanh lets no flip of the convolution before it through, but relu's scales."""
    networks = {activation: symmetry_groups(build("cnn_s", activation), (3, 28, 28)) for activation in ("tanh", "relu")}
    sizes = {
        (activation, kind): [group.size for group in groups if group.kind == kind]
        for activation, groups in networks.items()
        for kind in KINDS
    }
    assert sizes["tanh", "permutation"] == sizes["relu", "permutation"] == sizes["relu", "scale"] == [8, 6, 4, 20]
    assert sizes["tanh", "flip"] == [4, 20]
    assert sizes["tanh", "scale"] == sizes["relu", "flip"] == []


def axes_of(group: Group) -> set[tuple[str, int]]:
    return {(axis.entry, axis.dim) for axis in group.axes}


def written(layer: str, norm: str) -> set[tuple[str, int]]:
    return {(f"{layer}.weight", 0)} | {(f"{norm}.{p}", 0) for p in ("weight", "bias", "running_mean", "running_var")}


def test_resnet18_has_the_groups_of_git_re_basin() -> None:
    """One of each stage's residual stream, one inside each block; the published specification, appendix A."""
    groups = permutation_groups(build("resnet18", "relu", width=1.0), (3, 8, 8))
    assert sorted(group.size for group in groups) == sorted([64, 128, 256, 512] * 3)
    expected = []
    for stage in range(1, 5):
        blocks = [f"layer{stage}.{block}" for block in (0, 1)]
        for block in blocks:
            expected.append(written(f"{block}.conv1", f"{block}.bn1") | {(f"{block}.conv2.weight", 1)})
        downsample = f"layer{stage}.0.downsample"
        stream = written("conv1", "bn1") if stage == 1 else written(f"{downsample}.0", f"{downsample}.1")
        for block in blocks:
            stream |= written(f"{block}.conv2", f"{block}.bn2")
        stream |= {(f"layer{stage}.1.conv1.weight", 1)}
        if stage == 1:
            stream |= {("layer1.0.conv1.weight", 1)}
        if stage < 4:
            stream |= {(f"layer{stage + 1}.0.conv1.weight", 1), (f"layer{stage + 1}.0.downsample.0.weight", 1)}
        else:
            stream |= {("fc.weight", 1)}
        expected.append(stream)
    assert sorted(map(sorted, map(axes_of, groups))) == sorted(map(sorted, expected))


class Residual(nn.Module):
    def __init__(self, width: int, inner: int, activation: nn.Module) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, inner, 3, padding=1), nn.Conv2d(inner, width, 1)
        self.norm, self.activation = nn.BatchNorm2d(inner), activation

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.second(self.activation(self.norm(self.first(x))))


class Gate(nn.Module):
    """Squeeze and excitation: a product of a stream with a function of its own mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, 3, 1), nn.Conv2d(3, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Dense(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layer(x)], 1)


class Resized(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear")


class ChannelsLast(nn.Module):
    """A block as ConvNeXt's: LayerNorm and linear layers over channels in the last dimension."""

    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 3, padding=1, groups=width), nn.LayerNorm(width)
        self.up, self.down, self.activation = nn.Linear(width, 5), nn.Linear(5, width), activation

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.down(self.activation(self.up(hidden))).permute(0, 3, 1, 2)


class Twice(nn.Module):
    """One layer called twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(x)))


class Head(nn.Module):
    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(7), nn.Linear(36 * width, 7), nn.Linear(7, 4)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.norm(self.first(x.view(x.size(0), -1)))))


def drawn_layer(data: st.DataObject, width: int, activation: nn.Module) -> tuple[nn.Module, int]:
    """A layer or block for that width, and its width."""
    new = data.draw(st.integers(1, 6))
    convolution = nn.Conv2d(width, new, 3, padding=1, bias=data.draw(st.booleans()))
    return data.draw(
        st.sampled_from(
            [
                (convolution, new),
                (convolution, new),
                (nn.Sequential(convolution, nn.BatchNorm2d(new)), new),
                (nn.Sequential(convolution, nn.BatchNorm2d(new, affine=False), activation), new),
                (nn.Sequential(convolution, nn.GroupNorm(1, new)), new),
                (nn.Sequential(nn.Conv2d(width, 4, 1), nn.GroupNorm(2, 4)), 4),
                (nn.Sequential(convolution, nn.InstanceNorm2d(new, affine=True)), new),
                (nn.Sequential(convolution, nn.LayerNorm([new, 6, 6])), new),
                (nn.ConvTranspose2d(width, new, 3, padding=1), new),
                (nn.Conv2d(width, 2 * width, 3, padding=1, groups=width), 2 * width),
                (nn.Sequential(nn.Conv2d(width, 4, 1), nn.Conv2d(4, 6, 1, groups=2)), 6),
                (Residual(width, new, activation), width),
                (Gate(width), width),
                (Dense(width), 2 * width),
                (Resized(), width),
                (ChannelsLast(width, activation), width),
                (Twice(width), width),
                (nn.PReLU(width), width),
                (nn.MaxPool2d(3, 1, padding=1), width),
                (nn.AvgPool2d(3, 1, padding=1), width),
                (activation, width),
                (activation, width),
            ]
        )
    )


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_random_architectures_compute_the_same(data: st.DataObject) -> None:
    activation = data.draw(st.sampled_from([nn.Tanh(), nn.ReLU(), nn.GELU(), nn.LeakyReLU(0.2)]))
    width, module = 3, nn.Sequential()
    for _ in range(data.draw(st.integers(1, 6))):
        layer, width = drawn_layer(data, width, activation)
        module.append(layer)
    assert_same_function(module.append(Head(width, activation)), (3, 6, 6), data.draw(st.integers(0, 99)))


def sizes(module: nn.Module, shape: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
    """Sizes of the groups that permute, flip and scale."""
    groups = assert_same_function(module, shape)
    permuted, flipped, scaled = ([group.size for group in groups if group.kind == kind] for kind in KINDS)
    return permuted, flipped, scaled


@pytest.mark.parametrize(
    ("between", "flips", "scales"),
    [
        ([nn.Tanh()], [5], []),
        ([nn.Identity()], [5], [5]),
        ([nn.AvgPool2d(2), nn.Dropout()], [5], [5]),
        ([nn.ReLU()], [], [5]),
        ([nn.LeakyReLU(), nn.MaxPool2d(2)], [], [5]),
        ([nn.MaxPool2d(2), nn.Tanh()], [], []),
        ([nn.GELU()], [], []),
        ([nn.Sigmoid()], [], []),
        ([nn.BatchNorm2d(5), nn.Tanh()], [5], []),
        ([nn.BatchNorm2d(5), nn.ReLU()], [], [5]),
        ([nn.BatchNorm2d(5, affine=False), nn.Tanh()], [], []),
        ([nn.GroupNorm(1, 5), nn.Softsign()], [5], []),
        ([nn.Tanh(), nn.Conv2d(5, 5, 1, groups=5), nn.ReLU()], [5], [5]),
        ([nn.GroupNorm(5, 5), nn.ReLU()], [], [5]),
        ([nn.PReLU(5)], [], [5]),
        ([nn.Upsample(scale_factor=2), nn.ZeroPad2d(1), nn.Tanh()], [5], []),
    ],
)
def test_what_passes_what(between: list[nn.Module], flips: list[int], scales: list[int]) -> None:
    module = nn.Sequential(nn.Conv2d(2, 5, 3), *between, nn.Conv2d(5, 3, 1))
    assert sizes(module, (2, 8, 8)) == ([5], flips, scales)


def test_a_flip_behind_batch_norm_leaves_what_is_in_front_alone() -> None:
    module = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 36, 3))
    permutation, flip = symmetry_groups(module, (2, 8, 8))
    assert axes_of(permutation) == {("0.weight", 0), ("0.bias", 0), ("4.weight", 1)} | written("0", "1")
    assert axes_of(flip) == {("1.weight", 0), ("1.bias", 0), ("4.weight", 1)}
    assert {axis.repeat for axis in flip.axes if axis.reads} == {36}


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1, groups=groups)


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([nn.Linear(3, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)], (3,), ([5], [5], [])),
        ([nn.Linear(3, 5), nn.RMSNorm(5), nn.ReLU(), nn.Linear(5, 2)], (4, 3), ([5], [], [5])),
        ([nn.Conv1d(3, 5, 2), nn.BatchNorm1d(5), nn.ReLU(), nn.Conv1d(5, 2, 2)], (3, 9), ([5], [], [5])),
        ([nn.Conv3d(1, 5, 2), nn.Tanh(), nn.ConvTranspose3d(5, 2, 2)], (1, 4, 4, 4), ([5], [5], [])),
        ([conv(2, 4), nn.GroupNorm(2, 4), nn.Tanh(), conv(4, 2)], (2, 3, 3), ([], [4], [])),
        ([conv(2, 4), nn.Tanh(), conv(4, 6, groups=2), nn.Tanh(), conv(6, 2)], (2, 3, 3), ([], [6], [])),
        ([conv(2, 4), Dense(4), conv(8, 2)], (2, 3, 3), ([], [], [])),
        ([conv(2, 4), Twice(4)], (2, 3, 3), ([], [], [])),
        ([conv(2, 4), Gate(4), conv(4, 2)], (2, 3, 3), ([4, 3], [], [3])),
        ([conv(2, 4), Resized(), nn.Tanh(), conv(4, 2)], (2, 4, 4), ([4], [4], [])),
        ([conv(2, 4), ChannelsLast(4, nn.Tanh()), conv(4, 2)], (2, 4, 4), ([4, 5], [4, 4, 5], [4, 4])),
        ([nn.Linear(3, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)], (5, 3), ([], [], [])),
    ],
)
def test_other_networks(layers: list[nn.Module], shape: tuple[int, ...], expected: tuple[list[int], ...]) -> None:
    assert sizes(nn.Sequential(*layers), shape) == expected


class Two(nn.Module):
    """A function of two hidden tensors [batch, 5, 4, 4], read by a convolution."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.reader, self.function = conv(2, 5), conv(2, 5), conv(5, 5), function

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.function(self.one(x), self.two(x)))


def frozen_before(one: Tensor, two: Tensor) -> Tensor:
    two.cumsum(1)  # the sum is frozen because its second term is, before they are joined
    return one + two


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda one, two: torch.relu(one + two), ([5], [], [5])),
        (lambda one, two: (2 * one - two / 2).tanh(), ([5], [5], [])),
        (lambda one, two: one + F.relu(two), ([5], [], [5])),
        (lambda one, two: one + torch.tanh(two), ([5], [5], [])),
        (lambda one, two: one * two, ([5], [], [])),
        (lambda one, two: (one + 1).tanh() + two, ([5], [], [])),
        (lambda one, two: 1 - one + two, ([5], [], [])),
        (lambda one, two: one + two.mean((2, 3), keepdim=True), ([5], [5], [5])),
        (lambda one, two: one + two.mean(1, keepdim=True), ([], [], [])),
        (lambda one, two: one.relu_() + two, ([5], [], [5])),
        (lambda one, two: F.max_pool2d(one.transpose(1, 3), (1, 1)).transpose(1, 3) + two, ([], [], [])),
        (lambda one, two: one.flatten(2).view(two.shape) + two, ([5], [5], [5])),
        (lambda one, two: one.flatten(1).view(-1, 4, 5, 4).transpose(1, 2) + two, ([], [], [])),
        (lambda one, two: torch.div(one + two, 0.1, rounding_mode="floor"), ([], [], [])),
        (frozen_before, ([], [], [])),
    ],
)
def test_functions_of_hidden_tensors(
    function: Callable[[Tensor, Tensor], Tensor], expected: tuple[list[int], ...]
) -> None:
    assert sizes(Two(function), (2, 4, 4)) == expected


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if x.sum() > 0 else -self.layers(x)


class Tied(nn.Module):
    """Weights that two layers share, or that are read outside their layer, belong to no layer."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied = tied
        if tied:
            self.third.weight = self.second.weight

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.third(torch.tanh(self.second(torch.tanh(self.first(x)))))
        return hidden if self.tied else hidden + F.linear(x, self.second.weight)


def test_what_is_not_understood_stays_as_it_is() -> None:
    assert symmetry_groups(Branching(), (3,)) == ()
    assert sizes(Tied(tied=True), (4,)) == sizes(Tied(tied=False), (4,)) == ([], [], [])
    normed = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)))
    assert symmetry_groups(normed, (3,)) == ()
    hooked = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).train()
    hooked[1].register_forward_hook(lambda layer, inputs, output: output.cumsum(1))
    assert symmetry_groups(hooked, (3,)) == ()
    assert hooked[0].training


def test_actions_follow_one_another() -> None:
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))
    layout, groups = Layout.of(module.state_dict()), symmetry_groups(module, (1,))
    actions = [torch.tensor([2, 0, 1]), torch.tensor([-1.0, 1.0, 1.0])]
    index, factor = symmetry_map(layout, groups, actions)
    weights = torch.arange(1.0, 11)
    assert (weights[index] * factor).tolist() == [-3, 1, 2, -6, 4, 5, -9, 7, 8, 10]
    assert (index == permutation_index(layout, groups[:1], actions[:1])).all()
    drawn = random_permutations(layout, groups, 4, torch.Generator().manual_seed(0))
    assert (drawn.sort(1).values == torch.arange(10)).all()
