"""Specs expand as they say; training depends on the spec alone; failures are data."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.flat_models import narrow
from hypothesis import given
from hypothesis import strategies as st

from zoo_generation.data import ImageDataset, Split, load_dataset
from zoo_generation.networks.architectures import architecture_names, get_architecture
from zoo_generation.progress import Progress, Update
from zoo_generation.training.randomness import Augmentation
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_model


def digits(size: int, images: int = 200) -> ImageDataset:
    dataset = load_dataset("digits", train_images=images)
    return dataset.fit(dataset.channels, size)


def model_spec(**fields: object) -> ModelSpec:
    return make_spec({"datasets": "digits", "seeds": 1, "epochs": 2, "learning_rate": 1e-3} | fields).models()[0]


@pytest.mark.parametrize("architecture", architecture_names())
def test_training_depends_on_the_spec_alone(architecture: str) -> None:
    spec = model_spec(architectures=architecture, width=narrow(architecture), image_size=16, dropout=0.2, augment=True)
    images = digits(spec.image_size, images=100)
    first = train_model(spec, images)
    torch.rand(7)  # what others draw does not matter
    second = train_model(spec, images)
    assert [checkpoint.epoch for checkpoint in first.checkpoints] == [1, 2]
    for one, other in zip(first.checkpoints, second.checkpoints, strict=True):
        assert one.metrics == other.metrics
        assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
    assert first.checkpoints[0].metrics != first.checkpoints[1].metrics


def test_a_model_learns_and_reports() -> None:
    spec = model_spec(learning_rate=3e-3, epochs=5, checkpoint_epochs=[0, 5], activation="relu")
    told: list[Update] = []
    trained = train_model(spec, digits(28, images=1000), progress=Progress(told.append))
    before, after = (checkpoint.metrics for checkpoint in trained.checkpoints)
    assert trained.status == "trained" and trained.seconds > 0
    assert before.test_accuracy < 0.3 and after.test_accuracy > 0.7
    assert after.train_loss < before.train_loss
    assert [update.done for update in told] == [0, 1, 2, 3, 4, 5]
    assert told[-1] == Update(spec.id, 5, 5, {"val_accuracy": after.val_accuracy})


def test_divergence_is_kept_and_labelled() -> None:
    spec = model_spec(optimizer="sgd", learning_rate=1e30, activation="relu", epochs=3, checkpoint_epochs=[0, 3])
    trained = train_model(spec, digits(28))
    assert trained.status == "diverged"
    assert [checkpoint.epoch for checkpoint in trained.checkpoints] == [0]


def test_onecycle_is_the_published_schedule() -> None:
    constant, onecycle = (
        train_model(model_spec(schedule=schedule, epochs=1), digits(28)).checkpoints[0].metrics
        for schedule in ("constant", "onecycle")
    )
    assert constant != onecycle


@given(st.integers(0, 2**31), st.integers(5, 12))
def test_augmentation_shifts_and_flips(seed: int, size: int) -> None:
    images = torch.rand(6, 2, size, size, generator=torch.Generator().manual_seed(seed)) + 1
    changed = Augmentation.draw(len(images), torch.Generator().manual_seed(seed))(images)
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    for image, result in zip(padded, changed, strict=True):
        crops = image.unfold(1, size, 1).unfold(2, size, 1).permute(1, 2, 0, 3, 4)
        either = torch.cat([crops.flatten(0, 1), crops.flip(-1).flatten(0, 1)])
        assert (either == result).flatten(1).all(1).any()


def test_published_sizes() -> None:
    def parameters(name: str, channels: int) -> int:
        module = get_architecture(name).build(channels=channels, classes=10, activation="relu", dropout=0.0, width=1.0)
        return sum(parameter.numel() for parameter in module.parameters())

    assert [parameters("cnn_s", 1), parameters("cnn_s", 3), parameters("cnn_l", 3)] == [2464, 2864, 10853]
    assert parameters("resnet18", 3) == 11_173_962


def test_evaluation_is_exact() -> None:
    """Metrics of a checkpoint equal those of the whole split in one batch."""
    spec = model_spec(epochs=1)
    dataset = digits(28)
    checkpoint = train_model(spec, dataset).checkpoints[0]
    model = get_architecture("cnn_s").build(channels=1, classes=10, activation="tanh", dropout=0.0, width=1.0).eval()
    model.load_state_dict(checkpoint.state)

    def expected(split: Split) -> tuple[float, float]:
        with torch.no_grad():
            logits = model(dataset.normalise(split.images))
        loss = torch.nn.functional.cross_entropy(logits, split.labels)
        return loss.item(), (logits.argmax(1) == split.labels).double().mean().item()

    loss, accuracy = expected(dataset.test)
    assert math.isclose(checkpoint.metrics.test_loss, loss, rel_tol=1e-5)
    assert checkpoint.metrics.test_accuracy == accuracy
