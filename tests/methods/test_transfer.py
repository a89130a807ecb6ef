"""Methods of transfer: their soft labels against their formulas, and what they train against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from training.test_training import digits, model_spec

from zoo_generation.data import Split
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoo_generation.training.objective import Objective
from zoo_generation.training.train import train_model
from zoobench.methods.granting import granted
from zoobench.methods.registry import TRANSFER, get_method
from zoobench.methods.transfer import (
    ContinuedTraining,
    DataPartitioning,
    Distillation,
    Kl,
    Lesson,
    Mcl,
    PermutedTeacher,
    SelfDistillation,
    XeKl,
)
from zoobench.populations import Access, Population, TokenSet
from zoobench.populations.logits import logits_of
from zoobench.testing import made_up


def lesson_of(seed: int, students: int = 2, teachers: int = 1, images: int = 9, classes: int = 4) -> Lesson:
    random = torch.Generator().manual_seed(seed)
    student = (2 * torch.randn(students, images, classes, generator=random)).softmax(-1)
    taught = (2 * torch.randn(students, teachers, images, classes, generator=random)).softmax(-1)
    return Lesson(student, taught, torch.randint(classes, (images,), generator=random), seed)


def partitioned(lesson: Lesson, supervised: bool) -> Tensor:
    """Image by image, from the words of the paper."""
    targets = torch.zeros_like(lesson.student)
    for s, own in enumerate(lesson.student):
        for image, label in enumerate(lesson.labels.tolist()):
            best = own[image]
            for teacher in lesson.teachers[s]:
                other = teacher[image]
                above = other[label] > best[label] if supervised else other.max() > best.max()
                best = other if above else best
            targets[s, image] = best
    return targets


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 3), st.booleans())
def test_partitions_are_of_whoever_knows_best(seed: int, teachers: int, supervised: bool) -> None:
    lesson = lesson_of(seed, teachers=teachers)
    assert torch.equal(DataPartitioning(supervised=supervised).targets(lesson), partitioned(lesson, supervised))


@settings(max_examples=20)
@given(st.integers(0, 99))
def test_a_teacher_that_is_the_student_teaches_nothing(seed: int) -> None:
    """The soft labels are exactly the student's own answers, whose gradient is zero."""
    lesson = lesson_of(seed)
    same = replace(lesson, teachers=lesson.student[:, None])
    for method in (Kl(), SelfDistillation(), DataPartitioning(), DataPartitioning(supervised=False)):
        assert torch.equal(method.targets(same), lesson.student)
    logits = lesson.student.log().mT.requires_grad_()
    loss = Objective(lesson.student).loss(logits, torch.arange(9)[None]).sum()
    assert float(torch.autograd.grad(loss, logits)[0].abs().max()) < 1e-6


@settings(max_examples=20)
@given(st.integers(0, 99), st.floats(0, 1))
def test_losses_on_soft_labels_have_the_gradients_of_the_published_ones(seed: int, alpha: float) -> None:
    """alpha KL(teacher ‖ student) + (1 - alpha) XE(label); in a partition, the divergence from the chosen one."""
    lesson = lesson_of(seed, students=1)
    logits = torch.randn(1, 4, 9, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    own, teacher, labels = lesson.student[0], lesson.teachers[0, 0], lesson.labels
    log = logits[0].T.log_softmax(1)

    def divergence(targets: Tensor) -> Tensor:
        return F.kl_div(log, targets, reduction="none").sum(1)

    knows = teacher.gather(1, labels[:, None]) > own.gather(1, labels[:, None])
    split = torch.where(knows[:, 0], divergence(teacher), divergence(own))
    expected = {
        Kl(): divergence(teacher),
        XeKl(alpha=alpha): alpha * divergence(teacher) + (1 - alpha) * F.cross_entropy(log, labels, reduction="none"),
        DataPartitioning(): split,
        ContinuedTraining(): F.cross_entropy(log, labels, reduction="none"),
    }
    for method, losses in expected.items():
        ours = Objective(method.targets(lesson)).loss(logits, torch.arange(9)[None]).sum()
        gradients = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (ours, losses.mean()))
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_mcl_leaves_out_what_the_teacher_would_make_forget() -> None:
    lesson = lesson_of(3, images=200)
    right, wrong = lesson.student.argmax(2) == lesson.labels, lesson.teachers[:, 0].argmax(2) != lesson.labels
    forgets, targets = right & wrong, Mcl().targets(lesson)
    assert 0 < int(forgets.sum()) < forgets.numel()
    assert torch.equal(targets[forgets], lesson.truth.expand_as(targets)[forgets])
    assert torch.equal(targets[~forgets], XeKl(alpha=0.68).targets(lesson)[~forgets])
    assert Mcl(kept=0.5).averaging(7) ** 7 == pytest.approx(0.5)


def test_a_permuted_teacher_answers_to_other_images() -> None:
    lesson = lesson_of(4, images=50)
    heard = PermutedTeacher().heard(lesson)
    assert torch.equal(heard.sort(2).values, lesson.teachers.sort(2).values)
    assert float((heard == lesson.teachers).all(-1).double().mean()) < 0.1


FEW: dict[str, Any] = {"epochs": 2, "share": 0.2, "batch_size": 16, "learning_rate": 0.05}
TAUGHT = torch.tensor([[1], [0], [3], [2]])


def students(method: str = "data_partitioning", activations: tuple[str, ...] = ("relu",)) -> Population:
    """Four models, with these activations in turn, as a task gives them to a method."""
    population = made_up().split("train").taken(torch.arange(4) * 2)
    population.table["activation"] = [activations[row % len(activations)] for row in range(4)]
    return granted(get_method(method), population, Access.LABELS, ImageStore())


def test_pairs_are_trained_together_as_one_by_one() -> None:
    """Also if models of a population have several activations, which weights do not show."""
    population, method = students(activations=("relu", "tanh")), DataPartitioning(**FEW)
    together = method.transfer(population, [population], TAUGHT, seed=5)
    assert float((together - population.weights).abs().amax(1).min()) > 1e-3
    for place in range(4):
        one = population.taken(torch.tensor([place]))
        alone = method.transfer(one, [population], TAUGHT[[place]], seed=5)
        torch.testing.assert_close(together[[place]], alone, rtol=1e-4, atol=1e-6)


def test_students_are_trained_by_the_plain_loop_of_zoos() -> None:
    """On the images that the seed draws from the dataset as zoos see it, and on the method's soft labels."""
    population, seen = students(), list[tuple[Lesson, Tensor]]()

    class Watched(XeKl):
        def targets(self, lesson: Lesson) -> Tensor:
            seen.append((lesson, super().targets(lesson)))
            return seen[-1][1]

    found = Watched(**FEW).transfer(population, [population], TAUGHT, seed=5)
    ((lesson, soft),) = seen
    dataset = digits(28, images=300)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(5))[:60]
    assert torch.equal(dataset.train.labels[order], lesson.labels)
    few = replace(dataset, train=Split(dataset.train.images[order], lesson.labels))
    spec = model_spec(architectures="mlp", width=0.125, activation="relu", optimizer="sgd", learning_rate=0.05)
    spec = spec.model_copy(update={"batch_size": 16, "weight_decay": 1e-4, "seed": 5, "order_seed": 5})
    for place in range(4):
        start = population.layout.unflatten(population.weights[place])
        trained = train_model(spec, few, start=start, objective=Objective(soft[place]))
        expected = population.layout.flatten(trained.checkpoints[-1].state)
        torch.testing.assert_close(found[place], expected, rtol=1e-4, atol=1e-5)


def test_in_sequence_each_teacher_teaches_the_student_as_it_is_then() -> None:
    """The less accurate first; so the result is that of two lessons in the right order."""
    population = students()
    one, both = DataPartitioning(**FEW), DataPartitioning(**FEW, several="sequence")
    data = population.evidence.labelled("train")
    chosen = torch.randperm(300, generator=torch.Generator().manual_seed(5))[:60]
    right = logits_of(population, data.images[chosen]).argmax(2) == data.labels[chosen]
    first, second = right.sum(1).argsort(stable=True)[[0, -1]].tolist()
    assert int(right[first].sum()) < int(right[second].sum())
    pupil = population.taken(torch.tensor([1]))
    found = both.transfer(pupil, [population], torch.tensor([[second, first]]), seed=5)
    for teacher in (first, second):
        pupil = pupil.with_weights(one.transfer(pupil, [population], torch.tensor([[teacher]]), seed=5))
    torch.testing.assert_close(found, pupil.weights, rtol=1e-5, atol=1e-7)


def test_slow_weights_stay_nearer_to_the_student() -> None:
    population = students("mcl")
    moved = [
        float((method.transfer(population, [population], TAUGHT, 5) - population.weights).norm())
        for method in (Mcl(**FEW, kept=1e-6), Mcl(**FEW, kept=0.6), Mcl(**FEW, kept=0.99))
    ]
    assert moved[0] > 2 * moved[1] > 20 * moved[2] > 0


def test_a_student_that_diverges_is_at_chance() -> None:
    population = students()
    weights = ContinuedTraining(**FEW | {"learning_rate": 1e30}).transfer(population, [population], TAUGHT, 5)
    assert torch.equal(weights, torch.zeros_like(population.weights))


@pytest.mark.parametrize("name", [*TRANSFER, "data_partitioning-unsupervised"])
def test_methods_see_what_they_declare_and_no_more(name: str) -> None:
    method = get_method(name)
    config = method.config(None, {"epochs": 1, "share": 0.1})
    population = students(name)
    assert population.evidence.access == method.access in (Access.IMAGES, Access.LABELS)
    weights = method.fit(TokenSet(288, ()), 0, config).transfer(population, [population], TAUGHT, 5)
    assert weights.shape == population.weights.shape and bool(weights.isfinite().all())
    if method.access == Access.LABELS:
        blind = students("kl")
        with pytest.raises(AccessError, match="asked for images with labels"):
            config.transfer(blind, [blind], TAUGHT, 5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Kl(share=0), "a share above 0"),
        (lambda: Kl(learning_rate=0), "a learning_rate above 0"),
        (lambda: XeKl(alpha=2), "alpha is 2"),
        (lambda: Mcl(kept=1), "kept is 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Distillation], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make()
