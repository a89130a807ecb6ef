"""A stack of models trains to the numbers of the plain loop, and no model in it depends on the others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.flat_models import narrow
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from training.test_training import digits, model_spec

from zoo_generation.data import ImageDataset
from zoo_generation.networks.architectures import architecture_names
from zoo_generation.networks.layers import convolution, grouped_convolution, max_pool, tanh, unfolded_convolution
from zoo_generation.networks.randomness import seed_dropout
from zoo_generation.networks.stack import Stack, UnstackableError
from zoo_generation.training import memory
from zoo_generation.training.memory import models_in_memory
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_model, train_models, train_stack


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As a worker has: with several, the order in which PyTorch sums depends on how much there is to share out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@given(
    models=st.integers(1, 3),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 5),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    extra=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    batch=st.integers(1, 9),
    shared=st.booleans(),
    bias=st.booleans(),
    pool=st.sampled_from([1, 2]),
)
def test_the_convolution_is_the_grouped_one(
    models: int,
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    extra: tuple[int, int],
    batch: int,
    shared: bool,
    bias: bool,
    pool: int,
) -> None:
    size = [dilation[i] * (kernel[i] - 1) + 1 + extra[i] + stride[i] * (pool - 1) for i in (0, 1)]
    random = torch.Generator().manual_seed(0)
    given_values = [
        torch.randn(1 if shared else models, channels, *size, batch, generator=random),
        torch.randn(models, outputs, channels, *kernel, generator=random),
        torch.randn(models, outputs, generator=random),
    ][: 3 if bias else 2]
    results = []
    ways = [convolution, grouped_convolution, *([] if shared else [unfolded_convolution])]
    for function in ways:
        values = [value.clone().requires_grad_() for value in given_values]
        out = function(values[0], values[1], values[2] if bias else None, stride, dilation, pool)
        weights = torch.arange(out.numel()).view(out.shape).cos()
        results.append([out, *torch.autograd.grad((out * weights).sum(), values)])
    for others in results[1:]:
        for ours, theirs in zip(results[0], others, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_unfolded_convolution_is_differentiated_twice() -> None:
    """Exact Hessians on a GPU go through it."""
    random = torch.Generator().manual_seed(0)
    shapes = (2, 3, 6, 5, 2), (2, 2, 3, 3, 2), (2, 2)
    values = [torch.randn(shape, generator=random, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def function(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return unfolded_convolution(maps, weight, bias, (2, 1), (1, 2), 2)

    assert torch.autograd.gradgradcheck(function, values)


@given(models=st.integers(1, 3), sides=st.tuples(st.integers(2, 8), st.integers(2, 8)), seed=st.integers(0, 99))
def test_pooling_takes_the_first_of_the_largest(models: int, sides: tuple[int, int], seed: int) -> None:
    """Ties, which black images are full of, send their gradient where PyTorch sends it."""
    maps = torch.randint(0, 3, (models, 2, *sides, 5), generator=torch.Generator().manual_seed(seed)).float()
    ours, theirs = maps.clone().requires_grad_(), maps.flatten(0, 1).permute(3, 0, 1, 2).clone().requires_grad_()
    out, expected = max_pool(ours), F.max_pool2d(theirs, 2)
    assert torch.equal(out.flatten(0, 1).permute(3, 0, 1, 2), expected)
    out.square().sum().backward()
    expected.square().sum().backward()
    assert isinstance(ours.grad, Tensor) and isinstance(theirs.grad, Tensor)
    assert torch.equal(ours.grad.flatten(0, 1).permute(3, 0, 1, 2), theirs.grad)


def test_tanh_is_that_of_double_precision() -> None:
    special = [math.nan, math.inf, -math.inf, 0.0, 1e-30]
    values = torch.cat([torch.linspace(-12, 12, 100_001), torch.tensor(special)])[None].requires_grad_()
    out, expected = tanh(values), values.detach().double().tanh()
    torch.testing.assert_close(out.detach().double(), expected, rtol=1e-6, atol=0, equal_nan=True)
    out.sum().backward()
    assert isinstance(values.grad, Tensor)
    torch.testing.assert_close(values.grad.double(), 1 - expected.square(), rtol=0, atol=1e-6, equal_nan=True)


def stack_of(models: int, **fields: Any) -> list[ModelSpec]:
    """Models of one stack with hyperparameters of their own."""
    specs = make_spec({"datasets": "digits", "seeds": models, "epochs": 1, "learning_rate": 1e-3} | fields).models()
    own = [
        {"dropout": 0.0, "init": "kaiming_uniform", "weight_decay": 0.0},
        {"dropout": 0.3, "init": "normal", "learning_rate": 3e-4},
        {"dropout": 0.5, "init": "uniform", "weight_decay": 1e-2},
    ]
    return [spec.model_copy(update=own[i % 3]) for i, spec in enumerate(specs)]


def apart(one: TrainedModel, other: TrainedModel, share: float) -> float:
    """How far the weights of two models are apart at most, in this share of each entry's elements."""
    found = 0.0
    for mine, its in zip(one.checkpoints, other.checkpoints, strict=True):
        for name, value in mine.state.items():
            off = (value - its.state[name]).abs() / (1 + value.abs())
            found = max(found, float(off.quantile(share)))
    return found


def assert_trained_alone(model: TrainedModel, images: ImageDataset, tolerance: float = 2e-5) -> None:
    """Within float tolerance of the model trained alone, or of twice what PyTorch's own kernels make of it.

    Training magnifies rounding: Adam divides by the size of the gradient, where that is rounding and nothing else, so
    that an element in a hundred may be off by as much as its steps move it; and an activation that falls on the other
    side of a kink moves all of them a little.
    """
    alone = train_model(model.spec, images)
    assert model.status == alone.status
    for mine, its in zip(model.checkpoints, alone.checkpoints, strict=True):
        for metric in ("train_loss", "val_loss", "test_loss"):
            assert getattr(mine.metrics, metric) == pytest.approx(getattr(its.metrics, metric), rel=1e-3)
    adam = model.spec.optimizer == "adam"
    if adam:
        steps = math.ceil(len(images.train) / model.spec.batch_size)
        assert apart(model, alone, 1.0) < steps * model.spec.learning_rate
    share = 0.99 if adam else 1.0
    if (off := apart(model, alone, share)) >= tolerance:
        with torch.backends.mkldnn.flags(enabled=False):
            assert off < 2 * apart(train_model(model.spec, images), alone, share)


@pytest.mark.parametrize("architecture", architecture_names())
@settings(max_examples=4, derandomize=True)  # what rounding grows to depends on the example
@given(
    models=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    activation=st.sampled_from(["tanh", "relu", "gelu", "sigmoid"]),
    optimizer=st.sampled_from(["adam", "sgd"]),
    schedule=st.sampled_from(["constant", "onecycle"]),
    batch_size=st.sampled_from([16, 23, 40]),
    augment=st.booleans(),
    shared_order=st.booleans(),
)
def test_a_stacked_model_is_the_model_trained_alone(architecture: str, models: int, **fields: Any) -> None:
    specs = stack_of(models, architectures=architecture, width=narrow(architecture), image_size=16, **fields)
    images = digits(specs[0].image_size, images=80)
    stacked = train_stack(specs, images)
    for spec, model in zip(specs, stacked, strict=True):
        assert model.spec == spec
        assert_trained_alone(model, images)


@pytest.mark.parametrize("architecture", architecture_names())
def test_no_model_depends_on_its_stack(architecture: str) -> None:
    """To the last bit: so a zoo that was killed and went on is the zoo that was not."""
    specs = stack_of(5, architectures=architecture, width=narrow(architecture), image_size=16, augment=True)
    images = digits(specs[0].image_size, images=100)
    alone = [model for spec in specs for model in train_stack([spec], images)]
    for size in (2, 5):
        for one, other in zip(alone, train_models(specs, images, size), strict=True):
            assert one.checkpoints[0].metrics == other.checkpoints[0].metrics
            for name, value in one.checkpoints[0].state.items():
                assert torch.equal(value, other.checkpoints[0].state[name]), name


def test_a_shared_order_shows_all_models_the_same_images() -> None:
    specs = make_spec({"datasets": "digits", "seeds": 2, "epochs": 1, "shared_order": True, "seed": 7}).models()
    assert {spec.order_seed for spec in specs} == {7} and len({spec.seed for spec in specs}) == len(specs)
    same = [spec.model_copy(update={"seed": 3}) for spec in specs[:2]]
    one, other = train_stack(same, digits(28))
    assert all(torch.equal(value, other.checkpoints[0].state[name]) for name, value in one.checkpoints[0].state.items())


def test_a_diverging_model_leaves_its_stack_alone() -> None:
    fields = {"optimizer": "sgd", "activation": "relu", "epochs": 2, "checkpoint_epochs": [0, 1, 2]}
    good, bad = model_spec(**fields, seed=1), model_spec(**fields, seed=2, learning_rate=1e30)
    images = digits(28)
    together = train_stack([bad, good], images)
    assert together[0].status == "diverged" != together[1].status
    assert [checkpoint.epoch for checkpoint in together[0].checkpoints] == [0]
    (alone,) = train_stack([good], images)
    assert [c.metrics for c in alone.checkpoints] == [c.metrics for c in together[1].checkpoints]


@pytest.mark.parametrize("train", [lambda spec, images: train_stack([spec], images)[0], train_model])
def test_a_model_that_does_not_learn_is_at_chance(train: Any) -> None:
    images = digits(28, images=1000)
    assert train(model_spec(learning_rate=1e-9), images).status == "at_chance"
    assert train(model_spec(learning_rate=3e-3, epochs=3), images).status == "trained"


class Depthwise(nn.Module):
    """Layers beside those of the registered architectures."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(2, 4, (3, 2), padding=(2, 1), groups=2, dilation=2)
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.average = nn.AvgPool2d(3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(36, 3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.norm(self.grouped(images)))
        return self.head(torch.flatten(self.drop(self.pool(hidden) + 0.5 * self.average(hidden)), 1))


@pytest.mark.parametrize("training", [True, False])
def test_a_stack_runs_what_users_write(training: bool) -> None:
    modules = [Depthwise().train(training) for _ in range(3)]
    for number, module in enumerate(modules):
        seed_dropout(module, torch.Generator().manual_seed(number))
    weights = {
        name: torch.stack([module.state_dict()[name] for module in modules])
        for name, value in modules[0].state_dict().items()
        if value.is_floating_point()
    }
    images = torch.randn(3, 6, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = Stack(modules)(weights, images.permute(0, 2, 3, 4, 1), training=training)
    for number, module in enumerate(modules):
        module.drop.generator = torch.Generator().manual_seed(number)
        torch.testing.assert_close(logits[number].T, module(images[number]))
        torch.testing.assert_close(weights["norm.running_var"][number], module.norm.running_var)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.LayerNorm(4)), "LayerNorm is not known"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding mode reflect"),
        (nn.Sequential(nn.BatchNorm2d(1, momentum=None)), "BatchNorm without momentum"),
        (nn.Sequential(nn.Flatten(2)), "only flattening all"),
    ],
)
def test_what_cannot_be_stacked_says_why(module: nn.Module, reason: str) -> None:
    with pytest.raises(UnstackableError, match=reason):
        Stack([module])


def test_memory_decides_how_many_are_stacked() -> None:
    images = digits(28)
    small, large = model_spec(batch_size=16), model_spec(batch_size=64)
    assert models_in_memory(large, images, 0) == 1
    assert models_in_memory(small, images, 2**30) > models_in_memory(large, images, 2**30) > 1


@pytest.mark.parametrize(
    ("speeds", "most", "expected"),
    [
        ({1: 5, 2: 3, 4: 6, 8: 12, 16: 12.5}, 512, 8),  # the plain loop is quicker than small stacks only
        ({1: 5, 2: 2, 4: 2.1}, 512, 1),
        ({1: 5, 2: 9, 4: 18}, 3, 2),
        ({1: 5}, 1, 1),
    ],
)
def test_the_fastest_stack_is_found_past_slower_ones(
    monkeypatch: pytest.MonkeyPatch, speeds: dict[int, float], most: int, expected: int
) -> None:
    memory._known_stacks().clear()
    monkeypatch.setattr(memory, "_models_per_second", lambda spec, dataset, device, models: speeds[models])
    assert memory.fastest_stack(stack_of(1)[0], digits(8), "cuda", most) == expected
