"""Curves at steps: the same alone and stacked, an epoch's metrics at its last step, and nothing else is trained."""

from __future__ import annotations

import pytest
import torch
from helpers.flat_models import narrow
from training.test_stacked import stack_of
from training.test_training import digits, model_spec

from zoo_generation.training.train import train_model, train_models, train_stack


@pytest.mark.parametrize("architecture", ["cnn_s", "isocnn_2", "resnet10"])
def test_a_curve_is_that_of_each_model_alone_and_ends_epochs_as_they_end(architecture: str) -> None:
    fields = {"architectures": architecture, "width": narrow(architecture), "image_size": 16, "epochs": 2}
    specs, images = stack_of(3, **fields), digits(28 if architecture == "cnn_s" else 16, images=100)
    wanted = [0, 1, 3, 4, 5, 8]  # of 4 steps in each epoch
    specs = [spec.model_copy(update={"checkpoint_epochs": (0, 1, 2)}) for spec in specs]
    stacked = train_stack(specs, images, curve=wanted)
    for plain, model in zip(train_models(specs, images, 3), stacked, strict=True):
        assert not plain.curve and [point.step for point in model.curve] == wanted
        alone = train_model(model.spec, images, curve=wanted)
        at = {point.step: (point.test_loss, point.test_accuracy) for point in model.curve}
        for epoch, (kept, mine, its) in enumerate(
            zip(plain.checkpoints, model.checkpoints, alone.checkpoints, strict=True)
        ):
            assert all(torch.equal(value, kept.state[name]) for name, value in mine.state.items())
            assert at[4 * epoch] == (mine.metrics.test_loss, mine.metrics.test_accuracy)
            own = alone.curve[wanted.index(4 * epoch)]
            assert (own.test_loss, own.test_accuracy) == (its.metrics.test_loss, its.metrics.test_accuracy)
        for one, other in zip(model.curve, alone.curve, strict=True):
            assert one.test_loss == pytest.approx(other.test_loss, rel=1e-3)
            assert one.test_accuracy == pytest.approx(other.test_accuracy, abs=0.01)


def test_a_curve_ends_where_a_model_diverges() -> None:
    spec, images = model_spec(optimizer="sgd", learning_rate=1e30, activation="relu", epochs=3), digits(28)
    for model in (train_model(spec, images, curve=range(20)), *train_stack([spec], images, curve=range(20))):
        steps = [point.step for point in model.curve]
        assert model.status == "diverged" and steps == [0, 1]  # of three epochs: then weights are not finite
