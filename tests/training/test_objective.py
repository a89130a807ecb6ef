"""One loss in both trainers: what its formula says, and the plain cross-entropy to the bit if nothing is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from helpers.flat_models import narrow
from helpers.networks import Network, registered
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from training.test_stacked import apart
from training.test_training import digits, model_spec

from zoo_generation.data.images import Split, normalised
from zoo_generation.errors import InputError
from zoo_generation.training.models import build_model
from zoo_generation.training.objective import Objective
from zoo_generation.training.randomness import order_generator
from zoo_generation.training.single import memory_format, optimizer_of
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.train import train_model, train_models


@given(
    models=st.integers(1, 3),
    kind=st.sampled_from(["classes", "shared", "own"]),
    offsets=st.sampled_from([None, "shared", "own"]),
    temperature=st.sampled_from([1.0, 0.5, 4.0]),
    weighted=st.sampled_from([None, "shared", "own"]),
    same_batch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_loss_is_what_the_formula_says_image_by_image(
    models: int,
    kind: str,
    offsets: str | None,
    temperature: float,
    weighted: str | None,
    same_batch: bool,
    seed: int,
) -> None:
    images, classes, batch = 7, 4, 5
    random = torch.Generator().manual_seed(seed)
    soft = torch.randn(models, images, classes, generator=random).softmax(-1)
    labels = {"classes": soft[0].argmax(-1), "shared": soft[0], "own": soft}[kind]
    added = torch.randn(models if offsets == "own" else 1, images, classes, generator=random) if offsets else None
    counted = torch.rand(models if weighted == "own" else 1, images, generator=random) if weighted else None
    objective = Objective(labels, added, temperature, counted)
    chosen = torch.randint(images, (1 if same_batch else models, batch), generator=random)
    logits = torch.randn(models, classes, batch, generator=random)
    found = objective.loss(logits, chosen)
    assert found.shape == (models,)
    for model in range(models):
        total = 0.0
        for place, image in enumerate(chosen[model % len(chosen)].tolist()):
            z = logits[model, :, place].double()
            if added is not None:
                z = z + added[model % len(added), image].double()
            own = soft[model if kind == "own" else 0, image]
            target = F.one_hot(labels[image], classes) if kind == "classes" else own
            often = 1.0 if counted is None else float(counted[model % len(counted), image])
            total -= float((target.double() * (z / temperature).log_softmax(0)).sum()) * temperature**2 * often
        assert float(found[model]) == pytest.approx(total / batch, rel=1e-5)
        alone = objective.part(slice(model, model + 1)).loss(logits[model].T, chosen[model % len(chosen)])
        torch.testing.assert_close(alone, found[model])


def test_gradients_of_soft_labels_are_those_of_the_divergence_from_them() -> None:
    """Hinton's distillation: temperature² times the Kullback-Leibler divergence of the softened outputs."""
    logits, teacher = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5)
    ours = Objective((teacher / 3).softmax(1), temperature=3.0).loss(logits, torch.arange(6))
    theirs = 9 * F.kl_div((logits / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean")
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


@pytest.mark.parametrize("architecture", ["cnn_s", "mlp", "resnet18"])
def test_without_an_objective_training_is_the_plain_loop_to_the_bit(architecture: str) -> None:
    spec = model_spec(architectures=architecture, width=narrow(architecture), image_size=16, batch_size=32)
    dataset = digits(spec.image_size, images=80)
    model = build_model(spec, dataset, "cpu")
    order, optimizer = order_generator(spec), optimizer_of(model, spec.optimizer, spec.learning_rate, 0.0)
    images, labels = normalised(dataset, dataset.train, "cpu")
    model, images = (each.to(memory_format=memory_format(model, architecture)) for each in (model, images))
    for _ in range(spec.epochs):
        for chosen in torch.randperm(len(images), generator=order).split(spec.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    trained = train_model(spec, dataset).checkpoints[-1].state
    assert all(torch.equal(trained[name], value) for name, value in model.state_dict().items())


def test_without_an_objective_a_stack_has_the_plain_gradient_to_the_bit() -> None:
    labels, chosen = torch.randint(10, (50,)), torch.randint(50, (3, 17))
    logits = torch.randn(3, 10, 17, requires_grad=True)
    plain = F.cross_entropy(logits, labels[chosen], reduction="none").mean(1).sum()
    ours = Objective(labels).loss(logits, chosen).sum()
    assert torch.equal(*(torch.autograd.grad(loss, logits)[0] for loss in (plain, ours)))


@pytest.mark.parametrize("architecture", ["cnn_s", "resnet18"])
def test_checkpoints_hold_averages_if_they_are_asked_for(architecture: str) -> None:
    """Those of the plain loop, of statistics too; alone, and in a stack."""
    fields = {
        "architectures": architecture,
        "width": narrow(architecture),
        "image_size": 16,
        "batch_size": 32,
        "epochs": 1,
    }
    spec, share = model_spec(**fields, optimizer="sgd", learning_rate=0.05), 0.7
    dataset = digits(spec.image_size, images=80)
    model, order = build_model(spec, dataset, "cpu"), order_generator(spec)
    optimizer = optimizer_of(model, spec.optimizer, spec.learning_rate, 0.0)
    images, labels = normalised(dataset, dataset.train, "cpu")
    means = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    for chosen in torch.randperm(len(images), generator=order).split(spec.batch_size):
        optimizer.zero_grad()
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        means = {name: share * mean + (1 - share) * model.state_dict()[name] for name, mean in means.items()}
    alone, (stacked,) = train_model(spec, dataset, averaging=share), train_models([spec], dataset, 2, averaging=share)
    for name, mean in means.items():
        for found in (alone, stacked):
            torch.testing.assert_close(state_of(found)[name], mean, rtol=1e-4, atol=1e-5)
    assert alone.checkpoints[-1].metrics.val_loss == pytest.approx(stacked.checkpoints[-1].metrics.val_loss, rel=1e-3)
    assert apart(alone, train_model(spec, dataset), 1.0) > 1e-3
    with pytest.raises(InputError, match="averaging is 1"):
        train_models([spec], dataset, 1, averaging=1.0)


def test_splits_without_images_are_not_measured() -> None:
    spec, dataset = model_spec(epochs=1), digits(28, images=40)
    images, labels = normalised(dataset, dataset.train, "cpu")
    none = Split(images[:0], labels[:0])
    alone = replace(dataset, train=Split(images, labels), val=none, test=none)  # normalised already
    for found in (train_model(spec, alone), *train_models([spec], alone, 2)):
        assert found.status == "trained" and math.isnan(found.checkpoints[-1].metrics.test_accuracy)
        assert apart(found, train_model(spec, dataset), 0.99) < 1e-5


def objective_for(models: int, images: int) -> Objective:
    random = torch.Generator().manual_seed(1)
    soft = (3 * torch.randn(models, images, 10, generator=random)).softmax(-1)
    return Objective(soft, torch.randn(models, images, 10, generator=random), temperature=2.0)


@pytest.mark.parametrize("architecture", ["cnn_s", "mlp", "resnet18"])
def test_each_model_of_a_stack_has_its_own_part(architecture: str) -> None:
    """Alone it is the same within float tolerance; in stacks of any size the same to the bit."""
    fields = {
        "architectures": architecture,
        "width": narrow(architecture),
        "image_size": 16,
        "activation": "tanh",
        "dropout": 0.2,
    }
    specs = [model_spec(**fields, optimizer="sgd", learning_rate=1e-2, epochs=1)] * 5  # but for their objective, one
    dataset = digits(specs[0].image_size, images=60)
    objective = objective_for(5, 60)
    first, *others = (train_models(specs, dataset, size, objective=objective) for size in (2, 1, 5))
    for place, model in enumerate(first):
        for other in others:
            assert all(torch.equal(value, state_of(other[place])[name]) for name, value in state_of(model).items())
        alone = train_model(specs[0], dataset, objective=objective.part(slice(place, place + 1)))
        assert apart(model, alone, 1.0) < 1e-5
        assert apart(model, first[place - 1], 1.0) > 1e-3


def test_models_that_are_trained_one_at_a_time_have_their_own_parts_too() -> None:
    with registered(lambda **_: Network(("layer norm",), 1, 10), "own:normed") as name:
        spec = model_spec().model_copy(update={"architecture": name, "image_size": 8})
        dataset, objective = digits(8, images=60), objective_for(2, 60)
        for place, model in enumerate(train_models([spec, spec], dataset, 2, objective=objective)):
            alone = train_model(spec, dataset, objective=objective.part(slice(place, place + 1)))
            assert apart(model, alone, 1.0) == 0 < apart(model, train_model(spec, dataset), 1.0)


def state_of(model: TrainedModel) -> dict[str, Tensor]:
    return model.checkpoints[-1].state


@settings(max_examples=3, derandomize=True)
@given(shift=st.floats(-5, 5))
def test_objectives_that_are_the_plain_one_train_as_it_does(shift: float) -> None:
    """Labels as probabilities of 0 and 1, and offsets that are equal for all classes, change nothing."""
    spec = model_spec(optimizer="sgd", epochs=1)
    dataset = digits(28, images=80)
    objective = Objective(F.one_hot(dataset.train.labels, 10).float(), torch.full((1, 80, 10), shift))
    plain = train_model(spec, dataset)
    stacked = train_models([spec], dataset, 1, objective=objective)
    for model in (train_model(spec, dataset, objective=objective), *stacked):
        assert apart(plain, model, 1.0) < 1e-5


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Objective(torch.zeros(80).double()), r"labels are float64 of shape \[80\]; give int64"),
        (lambda: Objective(torch.zeros(80)), "labels are numbers, for networks of one output; these have 10"),
        (lambda: Objective(torch.full((80, 10), 0.2)), "not probabilities"),
        (lambda: Objective(torch.zeros(80, dtype=torch.int64), torch.zeros(80, 10)), "give float32 .models, images"),
        (lambda: Objective(torch.zeros(80, dtype=torch.int64), temperature=math.nan), "the temperature is nan"),
        (lambda: Objective(torch.full((3, 80, 10), 0.1)), r"\[3, 80, 10\], but this training needs \[2, 80, 10\]"),
        (lambda: Objective(torch.full((1, 10), 0.1)), r"\[1, 10\], but this training needs \[80, 10\]"),
        (lambda: Objective(torch.full((80,), 10)), "not all from 0 to 9"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused(make: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        train_models([model_spec(seed=seed) for seed in (0, 1)], digits(28, images=80), 2, objective=make())


def test_offsets_are_refused_where_images_are_augmented() -> None:
    with pytest.raises(InputError, match="train without augmentation"):
        train_models([model_spec(augment=True)], digits(28, images=80), 2, objective=objective_for(1, 80))
