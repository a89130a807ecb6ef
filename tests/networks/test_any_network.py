"""Any network of a user trains as in plain PyTorch, stacked or alone, and is recorded correctly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import (
    BLOCKS,
    CHANNELS,
    SIDE,
    STACKED,
    Network,
    Returning,
    conv,
    cooling,
    drawn_at_random,
    registered,
    with_buffer,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from training.test_stacked import one_thread  # noqa: F401
from training.test_training import digits

from zoo_generation.data import ImageDataset, Split
from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import evaluate
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.architectures.init import initialise
from zoo_generation.networks.module import build_module, kept
from zoo_generation.networks.program import with_ties
from zoo_generation.networks.randomness import seed_dropout
from zoo_generation.networks.stack import UnstackableError
from zoo_generation.networks.symmetry import symmetry_groups
from zoo_generation.networks.trial import proven_stack
from zoo_generation.training.memory import models_in_memory
from zoo_generation.training.randomness import dropout_generator, order_generator, training_seed
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_models
from zoo_generation.training.trial import why_alone


@lru_cache
def images() -> ImageDataset:
    """72 to train on, in batches of 32, 32 and 8, and few to evaluate."""
    full = digits(SIDE, images=72)
    few = {split: getattr(full, split) for split in ("val", "test")}
    return replace(full, **{name: Split(each.images[:60], each.labels[:60]) for name, each in few.items()})


def specs_of(architecture: str, models: int = 3) -> list[ModelSpec]:
    fields = {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "epochs": 2,
        "checkpoint_epochs": [0, 1, 2],
    }
    return make_spec(
        {"datasets": "digits", "architectures": architecture, "seeds": models, "image_size": SIDE} | fields
    ).models()


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def built(spec: ModelSpec) -> nn.Module:
    seed_all(spec.seed)
    build = get_architecture(spec.architecture).build
    model = build(channels=1, classes=10, activation=spec.activation, dropout=spec.dropout, width=1.0)
    initialise(model, spec.init)
    return model


def plain_loop(spec: ModelSpec) -> list[dict[str, Tensor]]:
    """State dicts before training and after each epoch."""
    model, order = built(spec), order_generator(spec)
    seed_dropout(model, dropout_generator(spec, "cpu"))
    optimizer = torch.optim.SGD(model.parameters(), spec.learning_rate, momentum=0.9, weight_decay=spec.weight_decay)
    inputs, labels = images().normalise(images().train.images), images().train.labels
    seed_all(training_seed(spec))
    states = [{name: value.clone() for name, value in model.state_dict().items()}]
    for _ in range(spec.epochs):
        for chosen in torch.randperm(len(inputs), generator=order).split(spec.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    return states


def assert_trained_plainly(model: TrainedModel) -> None:
    """Within rounding, which training magnifies, most of all through dropout of what is near a kink."""
    plain = plain_loop(model.spec)
    assert len(model.checkpoints) == len(plain), model.status
    frozen = {name for name, parameter in built(model.spec).named_parameters() if not parameter.requires_grad}
    for checkpoint, expected in zip(model.checkpoints, plain, strict=True):
        for name, value in kept(expected).items():
            torch.testing.assert_close(checkpoint.state[name].float(), value, rtol=1e-3, atol=1e-3)
            if name in frozen:
                assert torch.equal(checkpoint.state[name], model.checkpoints[0].state[name])


def assert_recomputes(models: list[TrainedModel]) -> None:
    """Recorded metrics are those of what a zoo keeps, put into a network that was never trained, together or alone."""
    row = pd.Series(models[0].spec.model_dump() | {"channels": 1, "classes": 10})
    layout = Layout.of(models[0].checkpoints[0].state)
    checkpoints = [checkpoint for model in models for checkpoint in model.checkpoints]
    weights = torch.stack([layout.flatten(checkpoint.state) for checkpoint in checkpoints])
    inputs, labels = images().normalise(images().test.images), images().test.labels
    losses, accuracies = evaluate(weights, layout, build_module(row), Images(inputs, labels))
    for checkpoint, flat, loss, accuracy in zip(checkpoints, weights, losses, accuracies, strict=True):
        module = build_module(row).train()
        module.load_state_dict(layout.unflatten(flat), strict=False)
        seed_all(0)
        with torch.no_grad():
            logits = module.eval()(inputs)
        recorded = checkpoint.metrics
        assert recorded.test_loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-3)
        assert recorded.test_loss == pytest.approx(float(loss), rel=1e-3)
        right = int((logits.argmax(1) == labels).sum())
        assert abs(recorded.test_accuracy * 60 - right) < 1.5 and abs(float(accuracy) * 60 - right) < 1.5


def assert_same_bits(one: TrainedModel, other: TrainedModel) -> None:
    assert [each.metrics for each in one.checkpoints] == [each.metrics for each in other.checkpoints]
    for mine, its in zip(one.checkpoints, other.checkpoints, strict=True):
        assert all(torch.equal(value, its.state[name]) for name, value in mine.state.items())


def check(blocks: tuple[str, ...]) -> None:
    with registered(lambda *, channels, classes, **_: Network(blocks, channels, classes), f"any:{blocks}") as name:
        specs = specs_of(name)
        before = torch.get_rng_state()
        models = train_models(specs, images(), 2)
        assert torch.equal(before, torch.get_rng_state())
        for model in models:
            assert_trained_plainly(model)
        assert_recomputes(models)
        torch.rand(3)  # what others draw does not matter, nor who is trained beside
        for one, other in zip(models[1:], train_models(specs[1:], images(), 1), strict=True):
            assert_same_bits(one, other)
        assert models_in_memory(specs[0], images(), 2**30) > 1
        symmetry_groups(built(specs[0]), (1, SIDE, SIDE))


@settings(max_examples=12, derandomize=True)
@given(st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=4).map(tuple))
def test_any_network_trains_as_in_plain_pytorch(blocks: tuple[str, ...]) -> None:
    check(blocks)


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_a_stack_is_used_where_it_computes_the_same(block: str) -> None:
    with registered(lambda *, channels, classes, **_: Network((block,), channels, classes), f"one:{block}") as name:
        reason = why_alone(specs_of(name)[0], images())
    assert (reason is None) == (block in STACKED), reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda layer: setattr(layer, "forward", lambda x: nn.Conv2d.forward(layer, x) * 1.001), "another output"),
        (lambda layer: setattr(layer, "forward", lambda x: scaled_gradient(nn.Conv2d.forward(layer, x))), "gradient"),
        (lambda layer: setattr(layer, "forward", lambda x: nn.Conv2d.forward(layer, x.detach())), "other weights"),
    ],
)
def test_a_stack_is_compared_with_what_it_stands_for(change: Callable[[nn.Module], None], reason: str) -> None:
    """Also where all that it is made of looks as if it were known: a layer's function is not what its class says."""
    modules = [nn.Sequential(conv(), conv(), nn.Flatten()) for _ in range(2)]
    for module in modules:
        change(module[1])
    with pytest.raises(UnstackableError, match=reason):
        proven_stack(modules, (CHANNELS, 4, 4), "cpu")


def scaled_gradient(values: Tensor) -> Tensor:
    return 0.5 * values + 0.5 * values.detach()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            lambda: Returning(lambda _, logits: {"logits": logits, "loss": 0}),
            r"\[3, 10\], and returns a dict of 'logits', ",
        ),
        (lambda: Returning(lambda _, logits: (logits, logits)), "returns a tuple of 2 in training"),
        (lambda: Returning(lambda self, x: x if self.training else (x,)), "returns a tuple of 1 in evaluation"),
        (lambda: Returning(lambda _, logits: logits.argmax(1)), r"returns a tensor \[3\] of int64"),
        (lambda: Returning(lambda _, logits: logits[:, :7]), r"returns a tensor \[3, 7\] of float32"),
        (lambda: Returning(lambda _, logits: logits[..., None]), r"returns a tensor \[3, 10, 1\]"),
        (lambda: Returning(lambda _, logits: logits.detach()), "cannot be trained: element 0 of tensors does not"),
        (lambda: Network((), 1, 10).requires_grad_(False), "cannot be trained: element 0 of tensors does not"),
        (lambda: Network((), 1, 10).double(), "cannot be run on images of 1 × 8 × 8 in training: Input type"),
        (lambda: Network((), 3, 10), "cannot be run on images of 1 × 8 × 8 in training: Given groups=1"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(10)), "cannot be built: "),
        (lambda: nn.Sequential(nn.Flatten(), nn.Softmax(1)), "has no weights"),
        (lambda: nn.Sequential(drawn_at_random(), Network((), 1, 10)), "with more than a zoo keeps of it"),
        (
            lambda: nn.Sequential(with_buffer(cooling, torch.tensor(0)), Network((), 1, 10)),
            "with more than a zoo keeps of it",
        ),
        (
            lambda: nn.Sequential(with_buffer(lambda _, x: x, torch.tensor(-torch.inf)), Network((), 1, 10)),
            "not finite in",
        ),
        (lambda: Network(("conv",) * (1 + int(torch.rand(()) < 0.5)), 1, 10), "has other entries with another seed"),
    ],
)
def test_what_no_zoo_can_be_made_of_is_told(build: Callable[[], nn.Module], reason: str) -> None:
    with registered(lambda **_: build(), f"not:{reason}") as name, pytest.raises(InputError, match=reason) as error:
        train_models(specs_of(name), images(), 2)
    assert "\n" not in str(error.value) and str(error.value).startswith(f"the architecture '{name}' ")


def test_entries_that_are_one_become_their_mean_and_stay_where_they_are_equal() -> None:
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    module[1].weight = module[2].weight = module[0].weight
    layout = Layout.of(module.state_dict())
    weights = torch.tensor([[1.0] * 4 + [2.0] * 4 + [6.0] * 4, [0.1, 0.7, 0.3, 1e-9] * 3])
    expected = torch.stack([torch.full((12,), 3.0), weights[1]])
    assert torch.equal(with_ties(weights, layout, module), expected)


def test_a_number_is_an_entry_like_any_other() -> None:
    state = {"scale": torch.tensor(3.0), "weight": torch.arange(4.0).view(2, 2)}
    layout = Layout.of(state)
    for batch in ((), (3,), (2, 3)):
        stacked = {name: value.expand((*batch, *value.shape)) for name, value in state.items()}
        back = layout.unflatten(layout.flatten(stacked))
        assert all(torch.equal(back[name], value) for name, value in stacked.items())


def test_a_batch_norm_without_values_is_told() -> None:
    spec = specs_of("resnet18")[0].model_copy(update={"width": 0.0625, "batch_size": 71})
    with pytest.raises(InputError, match="cannot be trained on a batch of one image"):
        train_models([spec], images(), 1)
