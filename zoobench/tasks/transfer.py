"""What trained models learn from each other, and what they forget over it.

Source: Roth, Thede et al., Fantastic gains and where to find them, arXiv 2310.17653 (sections 3 and 4: pairs of any
models have complementary knowledge; transfer delta, success rate, knowledge gained and lost).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import correct
from zoobench.methods.protocols import InapplicableError, Transferrer
from zoobench.populations import Access, Population
from zoobench.populations.logits import logits_of
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.partners import partners_of, shared
from zoobench.tasks.reconstruction import last_checkpoints

OF_A_PART = ["data_part"]
"""Methods do not see which part of the images models were trained on, so that all of them teach and learn on all."""

PAIR = ["student", "teacher"]

AT_ONCE = 64
"""Models whose logits are in memory at a time, while it is judged which images they have right."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The drawn models: students; populations of teachers; the ids of both; and their numbers [pairs, 1 + teachers of
    each] int64, student by student: of the student, and of its teachers, which are counted through all populations."""

    students: Population
    teachers: list[Population]
    student_names: list[str]
    teacher_names: list[str]
    numbers: NDArray[np.int64]

    def taught(self) -> Population:
        """The student of each pair."""
        return self.students.taken(torch.from_numpy(self.numbers[:, 0]), OF_A_PART)


@dataclass(frozen=True)
class Transfer:
    """Teach each of the target's models what another model knows: all pairs of models drawn from the test models, at
    their last checkpoints.

    models: how many students, of the target, and how many teachers; teachers are drawn equally from the target, where
    they are among the students, and from each other target with the same images and classes, whatever its architecture.
    No model is its own teacher. teachers: of a student at a time. Both are fewer if there are not so many models.

    Models are compared by which test images they classify correctly: a positive flip is an image that the teacher has
    right and the student wrong, a negative flip one that the student has right and the teacher wrong.
    """

    models: int = 12
    teachers: int = 1

    name: ClassVar[str] = "transfer"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Teach models what others know: accuracy, and knowledge that is gained and lost"
    paper: ClassVar[str] = "arXiv 2310.17653"
    primary: ClassVar[str] = "delta"
    asks: ClassVar = Transferrer
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.models < 2 or not 1 <= self.teachers < self.models:
            raise InputError(
                f"transfer was given {self.models} models and {self.teachers} teachers of each; take 2 or more models, "
                "and 1 or more teachers, but fewer than models"
            )

    def partners(self, setting: Setting) -> list[Population]:
        """The other targets whose models may be teachers."""
        return partners_of(setting)

    def members(self, setting: Setting) -> list[list[str]]:
        """The name of each student, and those of its teachers."""
        pairs = self._pairs(setting)
        teachers = [name for each in pairs.teachers for name in each.names.tolist()]
        students = pairs.students.names.tolist()
        return [[students[row[0]], *(teachers[each] for each in row[1:])] for row in pairs.numbers.tolist()]

    def given(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        read = self.reads(target)
        return read.taken(torch.arange(len(read)), OF_A_PART)

    def bases(self, setting: Setting) -> None:
        """None: what students and teachers were trained from is not told."""

    def reads(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        return last_checkpoints(target.split("test"), len(target))

    def form(self, setting: Setting) -> WeightForm:
        """One model for each student and its teachers, in the order of `_Pairs.numbers`."""
        pairs = len(self._pairs(setting).numbers)
        return WeightForm.made(range(pairs, pairs + 1), setting.target.layout.size)

    def ask(self, method: Transferrer, setting: Setting) -> Weights:
        """Teach. The weights are those of the students after, one for each student and its teachers."""
        pairs = self._pairs(setting)
        taught = torch.from_numpy(pairs.numbers[:, 1:])
        return Weights(method.transfer(pairs.taught(), pairs.teachers, taught, setting.seed))

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row for each student, before it was taught, and each of its teachers.

        Columns: model and student, the student's id; teacher, the teacher's; pair, the number of the answer's model;
        share, one by the number of teachers; counts of test images: images, in all; before and after, that the student
        has right; gained and lost, that it has right only after or only before; positive and negative flips;
        transferred, those of the positive flips that it has right after.
        """
        pairs = self._pairs(setting)
        before, teaching = (
            _right(pairs.students, setting),
            torch.cat([_right(each, setting) for each in pairs.teachers]),
        )
        after = _right(pairs.taught().with_weights(answer.weights), setting)
        rows = []
        for number, (student, *teachers) in enumerate(pairs.numbers.tolist()):
            was, now = before[student], after[number]
            for teacher in teachers:
                knows, name = teaching[teacher], pairs.student_names[student]
                names = {"model": name, "student": name, "teacher": pairs.teacher_names[teacher]}
                right = {"before": was, "after": now, "gained": now & ~was, "lost": was & ~now}
                right |= {"positive": knows & ~was, "negative": was & ~knows, "transferred": knows & ~was & now}
                counts = {column: int(images.sum()) for column, images in right.items()}
                rows.append(names | {"pair": number, "share": 1 / len(teachers), "images": len(was)} | counts)
        return pd.DataFrame(rows)

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over pairs, in shares of the test images: `delta`, the accuracy after minus that before, which is
        `gained` minus `lost`; `positive_flips`, the complementary knowledge of the teacher, and `negative_flips`;
        `before` and `after`; and `delta_weaker` and `delta_stronger`, from teachers that are less accurate than the
        student, or more. `transferred` is the share of the positive flips that are right after.

        `success` is the median over students of the share of teachers from which they gain more than they lose;
        `worst`, the least delta of all; `worst_median`, the median over students of the least. Intervals are of models
        drawn again, as students and as teachers alike, because pairs share them.
        """
        table, share = observations, observations["share"]
        pairs, images = table[PAIR], share * table["images"]
        delta = table["gained"] - table["lost"]

        def mean(part: pd.Series, among: pd.Series | float = 1.0) -> Estimate:
            return Estimate.pairs("pairs", pairs, among * share * part, among * images)

        of_student = (delta / table["images"]).groupby(table["student"]).min()
        return {
            "delta": mean(delta),
            "success": Estimate.pairs("median", pairs, share * (delta > 0), share),
            "gained": mean(table["gained"]),
            "lost": mean(table["lost"]),
            "positive_flips": mean(table["positive"]),
            "negative_flips": mean(table["negative"]),
            "transferred": Estimate.pairs("pairs", pairs, share * table["transferred"], share * table["positive"]),
            "before": mean(table["before"]),
            "after": mean(table["after"]),
            "delta_weaker": mean(delta, table["negative"] > table["positive"]),
            "delta_stronger": mean(delta, table["positive"] > table["negative"]),
            "worst": Estimate.constant(float(of_student.min())),
            "worst_median": Estimate.constant(float(of_student.median())),
        }

    def _pairs(self, setting: Setting) -> _Pairs:
        """Drawn by the setting's seed; how many there are does not depend on it.

        Raises `InputError` if a student has fewer other models than it needs teachers.
        """
        if shared(setting.target) is None:
            raise InapplicableError(
                f"models of {setting.target.name} were trained on different numbers of images, by which these are "
                "normalised; make a zoo of each"
            )
        random = np.random.default_rng(setting.seed)
        populations = [setting.target, *self.partners(setting)]
        teachers: list[Population] = []
        teacher_names: list[str] = []
        for number, population in enumerate(populations):
            read = self.reads(population)
            ids = read.table["model_id"].astype(str)
            order = random.permutation(ids.sort_values().index)[: self.models]
            some = order[: len(range(number, self.models, len(populations)))]
            if not len(some):
                continue  # more populations than models
            teachers.append(read.taken(torch.from_numpy(some), OF_A_PART))
            teacher_names += ids[some].tolist()
            if not number:
                students, student_names = read.taken(torch.from_numpy(order), OF_A_PART), ids[order].tolist()
        count, own, rows = len(teacher_names), len(teachers[0]), []
        for student in range(len(students)):
            others = random.permutation([each for each in range(count) if each != student or student >= own])
            sets = others[: len(others) // self.teachers * self.teachers].reshape(-1, self.teachers)
            rows += [(student, *each) for each in sets.tolist()]
        if not rows:
            raise InputError(
                f"{setting.target.name} has {len(students)} test models to teach, and {count} models to teach them, "
                f"too few for {self.teachers} teachers of each; take a larger zoo, or set fewer teachers"
            )
        return _Pairs(students, teachers, student_names, teacher_names, np.array(rows))

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Two and a half passes over the training images for each pair, as the built-in methods train by default (a
        backward pass counts as two forward ones), and all test images."""
        pairs = self.models * (self.models - 1) // self.teachers
        return Work(models=pairs, images=pairs * (7.5 * train_images + TEST_IMAGES))


def _right(population: Population, setting: Setting) -> Tensor:
    """Which test images each model classifies correctly [models, images]; none if its weights are not finite."""
    test, parts = setting.images.of(population.table.iloc[0], "test"), []
    for some in torch.arange(len(population)).split(AT_ONCE):
        logits = logits_of(population.taken(some), test.images, setting.device)
        parts.append(correct(logits, test.labels))
    return torch.cat(parts)


TRANSFER = Transfer()
