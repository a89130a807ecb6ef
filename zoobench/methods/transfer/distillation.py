"""Training trained models on the answers of others: what all methods of transfer share.

Source: Roth, Thede et al., Fantastic gains and where to find them, arXiv 2310.17653.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.program import device_of
from zoobench.methods.teaching import Teaching
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Access, Population
from zoobench.populations.logits import probabilities_of

MOST_EPOCHS = 1_000_000  # of a training, as of a zoo's


@dataclass(frozen=True, eq=False)
class Lesson:
    """What soft labels are made of, for some training images.

    student: the probabilities of each student before it is taught, [students, images, classes]; teachers: those of its
    teachers, [students, teachers of each, images, classes]; labels: [images] int64, all 0 for a method that sees none;
    seed: of all randomness.
    """

    student: Tensor
    teachers: Tensor
    labels: Tensor
    seed: int

    @property
    def truth(self) -> Tensor:
        """The labels as probabilities [images, classes]."""
        return F.one_hot(self.labels, self.student.shape[2]).float()


@dataclass(frozen=True)
class Distillation(Unlearned):
    """A method that trains students on soft labels, which it makes of the answers of students and teachers beforehand:
    so all students are trained as one stack, on the same images in the same order.

    epochs: passes over the images; share: of the training images that are used, drawn by the seed; learning_rate,
    weight_decay, batch_size: of SGD with momentum 0.9, without schedule, augmentation or dropout. Several teachers of a
    student teach it in `parallel`, or in `sequence`: one after another, the less accurate first (by the labels, if the
    method sees them; else in the order given), each time with the student as it is then.

    As published: optimizer, momentum, weight decay, temperature 1, no schedule. Adapted to small networks: 5 epochs on
    half of the images (there 20 on a tenth of ImageNet, 128,000 images), a learning rate of 0.01 at batches of 64
    (there 1e-4 times batch by 256, for networks of millions of weights). Images are drawn without regard to their
    classes (there stratified), so that methods that see no labels see the same ones.
    """

    epochs: int = 5
    share: float = 0.5
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    batch_size: int = 64
    several: Literal["parallel", "sequence"] = "parallel"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not 0 < self.share <= 1:
            raise InputError(
                f"transfer was given {self.epochs} epochs, batches of {self.batch_size} and a share of {self.share:g}; "
                "take 1 or more epochs, batches of 1 or more, and a share above 0 and up to 1"
            )
        if self.epochs > MOST_EPOCHS:
            raise InputError(f"transfer was given {self.epochs} epochs; take {MOST_EPOCHS} at most")
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise InputError("transfer takes a learning_rate above 0, and a weight_decay of 0 or more")

    @property
    def access(self) -> Access:
        """What it needs to see of the data, in this configuration."""
        return Access.IMAGES

    def targets(self, lesson: Lesson) -> Tensor:
        """Soft labels, float32 [students, images, classes]."""
        raise NotImplementedError

    def averaging(self, steps: int) -> float:
        """The share of itself that an average of the weights keeps at each of so many steps; 0 for no average."""
        return 0.0

    def transfer(self, students: Population, teachers: Sequence[Population], taught: Tensor, seed: int) -> Tensor:
        """See `Transferrer`. A student whose training diverges comes back with all weights 0: at chance."""
        for activation in students.table["activation"].unique():
            self._teaching(1).spec(students, activation, seed)  # refuses an unknown one
        images = self._images(students)
        order = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(seed))
        chosen = order[: max(1, round(self.share * len(order)))]
        shown = Images(images.images[chosen], images.labels[chosen])
        seen = [each.evidence.images("train")[chosen] for each in teachers]
        device = device_of("auto")
        answers = torch.cat([probabilities_of(*pair, device) for pair in zip(teachers, seen, strict=True)])
        if self.several == "parallel":
            return self._trained(students, answers[taught], shown, seed)
        if self.access >= Access.LABELS:
            accuracy = (answers.argmax(2) == shown.labels).double().mean(1)
            taught = taught.gather(1, accuracy[taught].argsort(dim=1, stable=True))
        for one in taught.T:
            students = students.with_weights(self._trained(students, answers[one][:, None], shown, seed))
        return students.weights

    def _trained(self, students: Population, teachers: Tensor, shown: Images, seed: int) -> Tensor:
        """Weights [students, D] of the students after; teachers: their probabilities, as in `Lesson`."""
        lesson = Lesson(probabilities_of(students, shown.images, device_of("auto")), teachers, shown.labels, seed)
        soft = self.targets(lesson)
        return self._teaching(len(shown.labels)).taught(students, soft, shown, seed)

    def _teaching(self, images: int) -> Teaching:
        """How students are trained on so many images."""
        averaging = self.averaging(self.epochs * math.ceil(images / self.batch_size))
        return Teaching(self.epochs, self.learning_rate, self.weight_decay, self.batch_size, averaging=averaging)

    def _images(self, population: Population) -> Images:
        """The training images, with labels if the method sees them."""
        if self.access >= Access.LABELS:
            return population.evidence.labelled("train")
        images = population.evidence.images("train")
        return Images(images, torch.zeros(len(images), dtype=torch.int64))
