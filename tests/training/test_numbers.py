"""Networks that answer with a number: squared error and SGD without momentum, alone and in a stack, and their
skills."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_generation.data import ImageDataset, get_dataset, load_dataset
from zoo_generation.errors import InputError
from zoo_generation.training.models import build_model, with_skills
from zoo_generation.training.objective import Objective
from zoo_generation.training.randomness import order_generator
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_model, train_models, train_stack, why_alone

FIELDS = {
    **{"datasets": "sparse_parity-2-6-2-6", "architectures": "mlp_1", "activation": "relu", "init": "small_normal"},
    **{"optimizer": "sgd", "momentum": 0.0, "loss": "mse", "learning_rate": 0.05, "batch_size": 32},
    **{"train_images": 400, "epochs": 3, "seeds": 2, "fixed_seeds": True},
}


def specs(**fields: Any) -> list[ModelSpec]:
    return make_spec(FIELDS | fields).models()


def images(train: int = 400) -> ImageDataset:
    return load_dataset("sparse_parity-2-6-2-6", train_images=train)


def plain(spec: ModelSpec, dataset: ImageDataset) -> tuple[Tensor, list[float]]:
    """Weights after training, and the losses on test inputs after each epoch, in a dozen lines."""
    model, order, velocity, losses = build_model(spec, dataset, "cpu"), order_generator(spec), 0.0, []
    inputs, truth = dataset.normalise(dataset.train.images), 5.0 - 10.0 * dataset.train.labels
    for _ in range(spec.epochs):
        for chosen in torch.randperm(len(truth), generator=order).split(spec.batch_size):
            loss = (model(inputs[chosen])[:, 0] - truth[chosen]).square().mean()
            gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
            velocity = (0.9 if spec.momentum is None else spec.momentum) * velocity + gradient
            flat = torch.nn.utils.parameters_to_vector(model.parameters()).detach() - spec.learning_rate * velocity
            torch.nn.utils.vector_to_parameters(flat, model.parameters())
        answers = model(dataset.normalise(dataset.test.images))[:, 0].detach()
        losses.append(float((answers - (5.0 - 10.0 * dataset.test.labels)).square().mean()))
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach(), losses


@pytest.mark.parametrize("momentum", [0.0, 0.5, None])
def test_both_trainers_minimise_the_squared_error(momentum: float | None) -> None:
    models, dataset = specs(momentum=momentum, learning_rate=0.02), images()
    assert why_alone(models[0], dataset) is None
    stacked, alone = train_stack(models, dataset), [train_model(spec, dataset) for spec in models]
    for spec, one, other in zip(models, stacked, alone, strict=True):
        weights, losses = plain(spec, dataset)
        for found in (one, other):
            state = found.checkpoints[-1].state
            assert found.classes == 1 and torch.allclose(
                torch.cat([each.flatten() for each in state.values()]), weights, rtol=1e-3, atol=1e-4
            )
            assert [each.metrics.test_loss for each in found.checkpoints] == pytest.approx(losses, rel=1e-3)


def test_a_number_is_right_if_its_sign_is() -> None:
    spec, dataset = specs(epochs=1, learning_rate=0.2)[0], images()
    trained = train_model(spec, dataset)
    module = build_model(spec, dataset, "cpu")
    module.load_state_dict(trained.checkpoints[-1].state)
    answers = module(dataset.normalise(dataset.test.images))[:, 0].detach()
    right = ((answers < 0) == (dataset.test.labels == 1)).double().mean()
    assert trained.checkpoints[-1].metrics.test_accuracy == pytest.approx(float(right))


def learned(models: list[TrainedModel]) -> Tensor:
    return torch.tensor([[list(each.skills.values()) for each in model.checkpoints] for model in models])


def test_skills_emerge_the_frequent_one_first() -> None:
    """And so exactly that half the mean squared error is the mean of their losses, weighed by their frequencies."""
    models = specs(epochs=25, seeds=3, learning_rate=0.05, train_images=None)
    dataset = images(2000)
    trained = with_skills(train_models(models, dataset, 3), dataset)
    assert [*trained[0].checkpoints[0].skills] == ["skill_1", "skill_2", "skill_loss_1", "skill_loss_2"]
    found = learned(trained)
    over = (found[:, :, :2] > 0.5).long()
    first = torch.where(over.any(1), over.argmax(1), 99)  # [models, skills]
    assert (first[:, 0] < first[:, 1]).all() and (found[:, -1, 0] > 0.9).all() and (found[:, 0, :2] < 0.5).all()
    frequencies = torch.from_numpy(get_dataset(models[0].dataset).skills.frequencies)  # type: ignore[union-attr]
    for model, rows in zip(trained, found, strict=True):
        for checkpoint, row in zip(model.checkpoints, rows, strict=True):
            expected = 2 * float(row[2:].double() @ frequencies)
            assert checkpoint.metrics.test_loss == pytest.approx(expected, rel=0.15, abs=0.5)


def test_skills_are_measured_of_numbers_alone() -> None:
    spec, dataset = specs(loss=None, epochs=1)[0], images()
    classifier = train_model(spec, dataset)
    assert classifier.classes == 2 and with_skills([classifier], dataset) == [classifier]
    none = replace(classifier, checkpoints=())
    assert with_skills([none], dataset) == [none]


def test_what_has_no_numbers_is_refused() -> None:
    (spec, *_) = specs(datasets="digits", architectures="cnn_s", image_size=None)
    with pytest.raises(InputError, match="the classes of 'digits' stand for no numbers"):
        train_model(spec, load_dataset("digits", train_images=50).fit(1, 28))
    with pytest.raises(InputError, match="take neither offsets nor a temperature"):
        Objective(torch.zeros(4), temperature=2.0)
    with pytest.raises(InputError, match="for networks of one output; these have 10"):
        Objective(torch.zeros(4)).check(1, 4, 10, augmented=False)
    for fields in ({"momentum": 1.0}, {"loss": "mae"}):
        with pytest.raises(InputError, match=f"'{next(iter(fields))}' was given"):
            specs(**fields)


def test_ids_of_old_specs_do_not_change() -> None:
    spec = make_spec({"datasets": "digits", "seeds": 1})
    assert not {"loss", "momentum"} & spec.model_dump().keys()
    assert len({each.id for fields in ({}, {"momentum": None}, {"loss": None}) for each in specs(**fields)}) == 6
