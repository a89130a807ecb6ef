"""Methods of transfer, and their controls: what each makes soft labels of.

Source: Roth, Thede et al., Fantastic gains and where to find them, arXiv 2310.17653.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.transfer.distillation import Distillation, Lesson
from zoobench.populations import Access


@dataclass(frozen=True)
class Kl(Distillation):
    """Distillation: the teacher's probabilities, or the mean of several teachers'."""

    def targets(self, lesson: Lesson) -> Tensor:
        return lesson.teachers.mean(1)


@dataclass(frozen=True)
class XeKl(Distillation):
    """Distillation and labels: `alpha` of the teacher's probabilities, the rest on the label.

    The released code feeds probabilities to a cross-entropy that takes logits; here the label is a probability.
    """

    alpha: float = 0.5

    @property
    def access(self) -> Access:
        return Access.LABELS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha is {self.alpha:g}; give the teacher's share of the soft labels, from 0 to 1")

    def targets(self, lesson: Lesson) -> Tensor:
        return self.alpha * lesson.teachers.mean(1) + (1 - self.alpha) * lesson.truth


@dataclass(frozen=True)
class Mcl(XeKl):
    """The same with slow weights: an exponential moving average that follows the trained weights (Stojanovski et al.,
    arXiv 2211.03186), and is what comes back. Images that the student has right, and the teacher wrong, have the label
    alone.

    kept: the share of the student's own weights that is left in the average at the end. As published: alpha, the images
    that are left out, and `kept`, which follows from 0.9999 at each of 5,000 averagings. Not as published: averages at
    each step, of a share that follows from `kept`, since small networks are trained for fewer steps; where the teacher
    is left out, the label takes its weight.
    """

    alpha: float = 0.68
    kept: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.kept < 1:
            raise InputError(f"kept is {self.kept:g}; give a share above 0 and below 1")

    def targets(self, lesson: Lesson) -> Tensor:
        right = lesson.student.argmax(2) == lesson.labels
        soft = lesson.teachers.mean(1)
        forgets = right & (soft.argmax(2) != lesson.labels)
        return torch.where(forgets[..., None], lesson.truth, super().targets(lesson))

    def averaging(self, steps: int) -> float:
        return float(self.kept ** (1 / steps))


@dataclass(frozen=True)
class DataPartitioning(Distillation):
    """For each image the probabilities of whoever knows it best: the student itself, as it was, or one of its teachers.

    supervised: whoever gives the label the higher probability; else the higher probability to any class, which needs no
    labels. The student keeps images on which no teacher is above it.
    """

    supervised: bool = True

    @property
    def access(self) -> Access:
        return Access.LABELS if self.supervised else Access.IMAGES

    def targets(self, lesson: Lesson) -> Tensor:
        every = torch.cat([lesson.student[:, None], self.heard(lesson)], dim=1)
        if self.supervised:
            place = lesson.labels.expand(*every.shape[:2], -1)[..., None]
            known = every.gather(3, place)[..., 0]
        else:
            known = every.amax(3)
        highest, best = known[:, 1:].max(1)
        best = torch.where(highest > known[:, 0], best + 1, 0)
        return every.gather(1, best[:, None, :, None].expand(-1, 1, -1, every.shape[3]))[:, 0]

    def heard(self, lesson: Lesson) -> Tensor:
        """The teachers' probabilities [students, teachers of each, images, classes]."""
        return lesson.teachers


@dataclass(frozen=True)
class PermutedTeacher(DataPartitioning):
    """Data partitioning with what the teachers answer to other images, drawn at random: as confident as they are, but
    without what they know of an image."""

    def heard(self, lesson: Lesson) -> Tensor:
        images = lesson.teachers.shape[2]
        return lesson.teachers[:, :, torch.randperm(images, generator=torch.Generator().manual_seed(lesson.seed))]


@dataclass(frozen=True)
class ContinuedTraining(Distillation):
    """The labels, and no teacher: what more training alone does."""

    @property
    def access(self) -> Access:
        return Access.LABELS

    def targets(self, lesson: Lesson) -> Tensor:
        return lesson.truth.expand_as(lesson.student)


@dataclass(frozen=True)
class SelfDistillation(Distillation):
    """The student's own probabilities, as it was: what training itself does, by weight decay and batch statistics."""

    def targets(self, lesson: Lesson) -> Tensor:
        return lesson.student
