"""How many answers of a model it takes to copy it, with the model that it was trained from and without.

Sources: Jagielski et al., arXiv 1909.01838 (agreement on the images of a task, its fidelity); Rafi et al., Revealing
secrets from pre-trained models, arXiv 2207.09539 (a base that is known makes it cheap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Extractor
from zoobench.methods.victims import Told, Victims, answers_of, drawn
from zoobench.populations import Access, Population
from zoobench.populations.lineage import NONE, Lineage
from zoobench.populations.logits import logits_of
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.tracing import OF_A_PART, tested_lineage

Base = Literal["none", "true", "identified", "wrong"]
"""The model that a method is given: none; the victim's parent; the parent of some victim whose answers to `PROBES`
images are nearest to the victim's; or a parent of another family."""

PROBES = 10
"""Images that it takes to identify a base, at most half of the budget; they count as queries."""

ENOUGH = 0.95
"""Agreement from which on a victim counts as copied."""


@dataclass(frozen=True)
class Extraction:
    """Copy trained children among the test models from their answers to images.

    victims: how many; budgets: numbers of queries, ascending; told: what victims answer; bases: what methods are given
    to begin with; seed: of which models are drawn. Every victim is copied once for each base and budget.
    """

    victims: int = 12
    budgets: tuple[int, ...] = (21, 50, 100, 200, 500)
    told: Told = "probabilities"
    bases: tuple[Base, ...] = ("none", "true", "identified", "wrong")
    seed: int = 0

    name: ClassVar[str] = "extraction"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Copy models from few answers, with the model that they were trained from or without"
    paper: ClassVar[str] = "arXiv 1909.01838"
    primary: ClassVar[str] = "agreement"
    asks: ClassVar = Extractor
    access: ClassVar[Access] = Access.IMAGES
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.victims < 1 or self.seed < 0 or not self.budgets or sorted({*self.budgets}) != [*self.budgets]:
            raise InputError(
                f"extraction was given {self.victims} victims, the seed {self.seed} and the budgets {self.budgets}; "
                "take 1 or more victims, a seed of 0 or more, and ascending budgets"
            )
        if self.budgets[0] < 1 or not self.bases or not {*self.bases} <= {*get_args(Base)}:
            raise InputError(
                f"extraction was given a budget of {self.budgets[0]} and the bases {self.bases}; take 1 or more "
                f"queries, and some of {', '.join(get_args(Base))}"
            )

    def reads(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        return Lineage.of(target.split("test")).models

    def form(self, setting: Setting) -> WeightForm:
        """One model for each base, budget and victim, the last innermost."""
        count = len(self._drawn(setting.target)[1]) * len(self.bases) * len(self.budgets)
        return WeightForm.made(range(count, count + 1), setting.target.layout.size)

    def ask(self, method: Extractor, setting: Setting) -> Weights:
        """Extract. Methods see a base for each victim, or none, and the victims' answers."""
        line, rows = self._drawn(setting.target)
        models = line.models.taken(torch.from_numpy(rows), OF_A_PART)
        made = []
        for base in self.bases:
            for budget in self.budgets:
                victims = Victims(models, self.told, budget)
                bases = self._bases(base, line, rows, victims, setting.seed)
                made.append(method.extract(victims, bases, setting.seed))
        return Weights(torch.cat(made))

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row for each copy.

        Columns: model, the family of the victim; victim, its number; base; budget; agreement, the share of test images
        that the copy gives the victim's class; accuracy, the copy's on these.
        """
        line, rows = self._drawn(setting.target)
        models, test = (
            line.models.select(np.isin(np.arange(len(line)), rows)),
            setting.images.of(line.models.row, "test"),
        )
        copies = models.taken(torch.arange(len(rows)).repeat(len(self.bases) * len(self.budgets)))
        given = logits_of(copies.with_weights(answer.weights), test.images, setting.device).argmax(2)
        wanted = logits_of(models, test.images, setting.device).argmax(2).repeat(len(given) // len(rows), 1)
        return pd.DataFrame(
            {
                "model": np.tile(line.families[rows], len(given) // len(rows)),
                "victim": np.tile(np.arange(len(rows)), len(given) // len(rows)),
                "base": np.repeat(self.bases, len(rows) * len(self.budgets)),
                "budget": np.tile(np.repeat(self.budgets, len(rows)), len(self.bases)),
                "agreement": (given == wanted).double().mean(1),
                "accuracy": (given == test.labels).double().mean(1),
            }
        )

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over copies: `accuracy`; `agreement`, also by base, and by base and budget: `agreement:true:50`.
        `queries`, by base: the least budget with an agreement of `ENOUGH`, twice the largest if there is none; and
        `advantage`, by base: the queries without a base by those with it. Intervals are of families drawn again.
        """
        found = {name: Estimate.mean(observations["model"], observations[name]) for name in ("agreement", "accuracy")}
        of_base = {str(base): rows for base, rows in observations.groupby("base", sort=False)}
        queries = {base: _queries(rows) for base, rows in of_base.items()}
        for base, rows in of_base.items():
            found[f"agreement:{base}"] = Estimate.mean(rows["model"], rows["agreement"])
            for budget, some in rows.groupby("budget"):
                found[f"agreement:{base}:{budget}"] = Estimate.mean(some["model"], some["agreement"])
            least = rows["victim"].map(queries[base])
            found[f"queries:{base}"] = Estimate.mean(rows["model"], least)
            if base != "none" and "none" in queries:
                scratch = rows["victim"].map(queries["none"])
                found[f"advantage:{base}"] = Estimate.ratio(rows["model"], scratch, least)
        return found

    def _drawn(self, target: Population) -> tuple[Lineage, NDArray[np.int64]]:
        """The lineage of test models, and the rows of the victims, ascending: from as many families as there are."""
        random, line = np.random.default_rng(self.seed), tested_lineage(target)
        able = random.permutation(np.flatnonzero(~line.is_parent & (line.parents != NONE)))
        turn = pd.Series(line.families[able]).groupby(line.families[able]).cumcount()
        return line, np.sort(able[np.argsort(turn.to_numpy(), kind="stable")][: self.victims])

    def _bases(
        self, base: Base, line: Lineage, rows: NDArray[np.int64], victims: Victims, seed: int
    ) -> Population | None:
        """The base of each victim; None for none."""
        if base == "none":
            return None
        parents = line.parents[rows]
        if base == "true":
            chosen = parents
        elif base == "wrong":
            others = [np.flatnonzero(line.is_parent & (line.families != family)) for family in line.families[rows]]
            if not all(len(each) for each in others):
                raise InputError(f"{line.models.name} has one family, so no base is wrong; take a larger zoo")
            random = np.random.default_rng(self.seed)
            chosen = np.array([random.choice(each) for each in others])
        else:
            offered = np.unique(parents)
            candidates = line.models.taken(torch.from_numpy(offered), OF_A_PART)
            probes = drawn(victims, seed)[: min(PROBES, victims.left // 2)]
            chosen = offered[_nearest(victims.ask(probes), answers_of(candidates, self.told, probes)).numpy()]
        return line.models.taken(torch.from_numpy(chosen), OF_A_PART)

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Copies, each trained on some 13,000 images as built-in methods train, and tested."""
        copies = self.victims * len(self.bases) * len(self.budgets)
        return Work(models=copies, images=copies * (3 * 13_000 + TEST_IMAGES))


def _queries(rows: pd.DataFrame) -> dict[int, float]:
    """By victim, the least budget that is enough for it, twice the largest if none is; rows: of one base."""
    least = (
        rows["budget"].where(rows["agreement"] >= ENOUGH, 2 * rows["budget"].max()).groupby(rows["victim"].to_numpy())
    )
    return {int(victim): float(budget) for victim, budget in least.min().items()}  # type: ignore[call-overload]


def _nearest(answers: Tensor, others: Tensor) -> Tensor:
    """For each of some answers [victims, images, classes] the nearest of others [candidates, images, classes]."""
    return torch.cdist(answers.flatten(1), others.flatten(1)).argmin(1)


EXTRACTION = Extraction()
