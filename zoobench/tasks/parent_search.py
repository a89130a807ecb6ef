"""Which of some models another one was trained from, or copied from, if from any.

Sources: Yu & Wang, Neural Lineage, arXiv 2406.11129 (which of N parents); Horwitz et al., arXiv 2503.10633 (what
copies there are in the wild); Zhu et al., arXiv 2502.12292 (evasion by symmetry).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.populations import Access, Population
from zoobench.populations.lineage import NONE, Lineage
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.copies import WAYS, Way, copied, distilled
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import ScoreForm
from zoobench.tasks.tracing import OF_A_PART, Asked, by_drift, tested_lineage, traced

KINDS = ("trained", "evaded_child", *WAYS, "distilled")
"""What a child is: a model that was trained from another; such a one, evaded; a copy of a model, see `copies`; or one
that was distilled from it, a child by what it answers and not by its weights."""

ABSENT = 4
"""One in so many families has children, but no candidates."""

FALSE = 0.01
"""The share of unrelated pairs above the score from which on pairs count as detected."""


@dataclass(frozen=True, eq=False)
class _Question:
    """Children and candidates, and the truth about their pairs.

    kinds, families: of each child; right, related, same_init: [children, candidates], whether the candidate is the
    child's parent, is of its family, and is of its family but of another tree; drift: [children] the distance to the
    model that it was made of, by that one's norm, NaN for one that was distilled.
    """

    children: Population
    candidates: Population
    kinds: NDArray[np.str_]
    families: NDArray[np.str_]
    right: Tensor
    related: Tensor
    same_init: Tensor
    drift: Tensor

    @property
    def form(self) -> ScoreForm:
        """What is asked for."""
        rows, columns = (
            tuple(f"{name}-{number}" for number in range(len(each)))
            for name, each in (("child", self.children), ("candidate", self.candidates))
        )
        return ScoreForm(rows, columns)


@dataclass(frozen=True)
class ParentSearch:
    """Find the parent of each child among candidates, which are the test models that others were trained from.

    kinds: of children: trained ones, which are the test models that no other was trained from, and copies of the
    candidates; families: at most, of models with one initialization; each: children of each kind and family, at most;
    seed: of what is drawn. The candidates of one family in `ABSENT` are left out: for its children, "none" is right. A
    child's answer is the candidate with the highest score, or none if no score is above 0.
    """

    kinds: tuple[str, ...] = ("trained",)
    families: int = 16
    each: int = 6
    seed: int = 0

    name: ClassVar[str] = "lineage"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Find the model that another was trained or copied from, if it is there"
    paper: ClassVar[str] = "arXiv 2406.11129"
    primary: ClassVar[str] = "top1"
    asks: ClassVar = Asked
    access: ClassVar[Access] = Access.IMAGES
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.kinds or (strange := [kind for kind in self.kinds if kind not in KINDS]):
            given = f"'{strange[0]}'" if self.kinds else "none"
            raise InputError(f"lineage was given {given} among the kinds of children; take some of {', '.join(KINDS)}")
        if self.families < 1 or self.each < 1 or self.seed < 0:
            raise InputError(
                f"lineage was given {self.families} families, {self.each} children of each and the seed {self.seed}; "
                "take 1 or more of the former, and a seed of 0 or more"
            )

    def reads(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        return Lineage.of(target.split("test")).models

    def form(self, setting: Setting) -> ScoreForm:
        """One row per child, one column per candidate, in an order that says nothing."""
        return self._question(setting.target).form

    def ask(self, method: Asked, setting: Setting) -> Scores:
        """Trace. Methods see weights, and what all models have in common."""
        question = self._question(setting.target, self._images(setting))
        values = traced(method, question.children, question.candidates, setting.sources, setting.seed)
        return Scores(values, question.form.rows, question.form.columns)

    def compared(self, setting: Setting) -> tuple[Population, Population]:
        """The children and the candidates."""
        question = self._question(setting.target, self._images(setting))
        return question.children, question.candidates

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row per child.

        Columns: model, the family; kind; drift; present, whether its parent is a candidate; rank of the right answer
        among all, "none" being one, ties counted against it; closest, whether the parent's score is above those of all
        other candidates; below, the share of unrelated pairs of its kind with a lower score than its parent has, ties
        counted half; detected, whether the parent's score is above all but `FALSE` of theirs; same_init, the share of
        candidates of its initialization, but of another tree, that are detected. NaN where there is no such pair.
        """
        question = self._question(setting.target)
        right, values = question.right, answer.values.double()
        present = right.any(1)
        options = torch.cat([values, torch.zeros(len(values), 1)], dim=1)
        correct = torch.cat([right, ~present[:, None]], dim=1)
        truth = options.masked_fill(~correct, -torch.inf).amax(1, keepdim=True)
        rank = 1 + ((options >= truth) & ~correct).sum(1)
        rivals = values.masked_fill(right, -torch.inf).amax(1)
        parts = []
        for kind in self.kinds:
            rows = torch.from_numpy(question.kinds == kind)
            unrelated = values[rows][~question.related[rows]].sort().values
            of_truth = truth[rows, 0]
            low, high = (torch.searchsorted(unrelated, of_truth, right=side).double() for side in (False, True))
            limit = (
                unrelated[int(np.ceil((1 - FALSE) * len(unrelated))) - 1] if len(unrelated) else torch.tensor(torch.nan)
            )
            alike = question.same_init[rows]
            part = {
                "model": question.families[rows.numpy()],
                "kind": kind,
                "drift": question.drift[rows],
                "present": present[rows],
                "rank": rank[rows],
                "closest": (of_truth > rivals[rows]).double(),
                "below": (low + high) / 2 / len(unrelated),
                "detected": (of_truth > limit).double(),
                "same_init": ((values[rows] > limit) & alike).sum(1) / alike.sum(1),
            }
            parts.append(pd.DataFrame(part))
        table = pd.concat(parts, ignore_index=True)
        table.loc[~table["present"], ["closest", "below", "detected"]] = np.nan
        return table

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over children: `top1`, the share of right answers, and `mrr`, of one by the rank; `none`, the first for
        children without a parent among the candidates. For the others, `closest`; `auc`, of their parents against
        unrelated pairs; `tpr`, the share of detected ones at a false positive rate of `FALSE`. `same_init`, the share
        of pairs that have only their initialization in common and are detected. The same by kind, such as `tpr:evaded`,
        and for trained children by drift, such as `top1:far`. Intervals are of families drawn again.
        """
        parts = {"": observations}
        if observations["kind"].nunique() > 1:
            parts |= {f":{kind}": rows for kind, rows in observations.groupby("kind", sort=False)}
        parts |= {f":{name}": rows for name, rows in by_drift(observations[observations["kind"] == "trained"])}
        found = {}
        for of, rows in parts.items():
            first = (rows["rank"] == 1).astype(float)
            columns = {"top1": first, "mrr": 1 / rows["rank"], "none": first.where(~rows["present"])}
            columns |= {"closest": rows["closest"], "auc": rows["below"], "tpr": rows["detected"]}
            for name, column in (columns | {"same_init": rows["same_init"]}).items():
                if (known := column.notna()).any():
                    found[name + of] = Estimate.mean(rows["model"][known], column[known])
        return found

    def _images(self, setting: Setting) -> Tensor | None:
        """The training images that children are distilled on; None if none are asked about."""
        return setting.images.of(self.reads(setting.target).row, "train").images if "distilled" in self.kinds else None

    def _question(self, target: Population, images: Tensor | None = None) -> _Question:
        """Drawn by the task's seed alone, so that all are asked the same. Without images, which judging does not need,
        the weights of what is distilled on them are NaN."""
        random = np.random.default_rng(self.seed)
        lineage = tested_lineage(target)
        chosen = random.permutation(np.unique(lineage.families[lineage.parents != NONE]))[: self.families]
        line, absent = lineage.among(chosen), chosen[: len(chosen) // ABSENT]
        offered = random.permutation(np.flatnonzero(line.is_parent & ~np.isin(line.families, absent)))
        kinds, rows, weights = list[str](), list[NDArray[np.int64]](), list[Tensor]()
        for kind in self.kinds:
            of_leaves = kind in ("trained", "evaded_child")
            able = ~line.is_parent & (line.parents != NONE) if of_leaves else line.is_parent
            drawn = [random.permutation(np.flatnonzero(able & (line.families == name)))[: self.each] for name in chosen]
            rows.append(np.concatenate(drawn))
            kinds += [kind] * len(rows[-1])
            weights.append(_made(line, rows[-1], kind, images, self.seed))
        order = random.permutation(len(kinds))
        place, kind_of, made = np.concatenate(rows)[order], np.array(kinds)[order], torch.cat(weights)[order]
        parent = np.where(line.is_parent[place], place, line.parents[place])
        right = parent[:, None] == offered
        merged = kind_of == "merged"
        right[merged] |= _partner(line, place[merged])[:, None] == offered
        origin = line.models.weights[parent]
        related = line.families[place][:, None] == line.families[offered]
        return _Question(
            line.models.taken(torch.from_numpy(place), OF_A_PART).with_weights(made),
            line.models.taken(torch.from_numpy(offered), OF_A_PART),
            kind_of,
            line.families[place],
            torch.from_numpy(right),
            torch.from_numpy(related),
            torch.from_numpy(related & (line.roots[place][:, None] != line.roots[offered])),
            (made - origin).norm(dim=1) / origin.norm(dim=1),
        )

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Children and candidates, training models to calibrate on, and what is distilled."""
        taught = self.families * self.each if "distilled" in self.kinds else 0
        return Work(models=self.families * (self.each * len(self.kinds) + 10), images=3 * 13_000 * taught)


def _made(line: Lineage, rows: NDArray[np.int64], kind: str, images: Tensor | None, seed: int) -> Tensor:
    """Weights [rows, D] of children of a kind, made of these models; images: to distil on."""
    models = line.models.select(np.isin(np.arange(len(line)), rows))
    order = torch.from_numpy(np.searchsorted(np.sort(rows), rows))
    if kind == "trained":
        return models.weights[order]
    if kind == "distilled":
        nothing = torch.full_like(models.weights, torch.nan)
        return (nothing if images is None else distilled(models, images, seed))[order]
    others = line.models.weights[_partner(line, np.sort(rows))]
    return copied(models, "evaded" if kind == "evaded_child" else cast(Way, kind), others, seed)[order]


def _partner(line: Lineage, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The model [rows] that each is merged with: one of its children, or itself if it has none."""
    child = {int(parent): place for place, parent in enumerate(line.parents)}
    return np.array([child.get(int(row), int(row)) for row in rows], dtype=np.int64)


PARENT_SEARCH = ParentSearch()
