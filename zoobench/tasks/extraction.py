"""How many answers of a model it takes to copy it, with the model that it was trained from and without.

Sources: Jagielski et al., arXiv 1909.01838 (agreement on the images of a task, its fidelity); Rafi et al., Revealing
secrets from pre-trained models, arXiv 2207.09539 (a base that is known makes it cheap).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Extractor
from zoobench.methods.victims import Told, Victims, answers_of, some_of
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
    to begin with; seed: of which models are drawn. Every victim is copied once for each kind of answers, base and
    budget.
    """

    victims: int = 12
    budgets: tuple[int, ...] = (21, 50, 100, 200, 500)
    told: tuple[Told, ...] = ("probabilities",)
    bases: tuple[Base, ...] = ("none", "true", "identified", "wrong")
    seed: int = 0

    name: ClassVar[str] = "extraction"
    version: ClassVar[int] = 2
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
        if self.budgets[0] < 1:
            raise InputError(f"extraction was given a budget of {self.budgets[0]}; take 1 or more queries")
        for name, given, known in (("bases", self.bases, get_args(Base)), ("told", self.told, get_args(Told))):
            if not given or not {*given} <= {*known} or len({*given}) < len(given):
                raise InputError(
                    f"extraction was given '{name}' as {given}; take some of {', '.join(known)}, each once"
                )

    def reads(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        return Lineage.of(target.split("test")).models

    def form(self, setting: Setting) -> WeightForm:
        """One model for each row of `copies`."""
        count = len(self.copies(setting))
        return WeightForm.made(range(count, count + 1), setting.target.layout.size)

    def copies(self, setting: Setting) -> pd.DataFrame:
        """What is asked for: one row for each copy, in the order of the answer.

        Columns: told, what the victims tell; base; budget; victim, its number; left, the queries that may be made once
        the base is identified.
        """
        victims = range(len(self._drawn(setting.target)[1]))
        columns = ["told", "base", "budget", "victim"]
        table = pd.DataFrame(product(self.told, self.bases, self.budgets, victims), columns=columns)
        asked = zip(table["base"], table["budget"], strict=True)
        return table.assign(left=[budget - _probes(base, budget) for base, budget in asked])

    def victims_of(self, target: Population) -> Population:
        """The models to copy, in the order of their numbers."""
        line, rows = self._drawn(target)
        return line.models.taken(torch.from_numpy(rows), OF_A_PART)

    def bases_of(self, setting: Setting) -> list[Population | None]:
        """For each kind of answers, base and budget, the last innermost, the base of each victim; None for none."""
        line, rows = self._drawn(setting.target)
        victims = self.victims_of(setting.target)
        offered, parents = np.unique(line.parents[rows]), line.parents[rows]
        candidates = line.models.taken(torch.from_numpy(offered), OF_A_PART)
        images = setting.images.of(victims.row, "train").images if "identified" in self.bases else None
        found: list[Population | None] = []
        for told, base, budget in product(self.told, self.bases, self.budgets):
            if base == "none":
                found.append(None)
                continue
            chosen = parents
            if base == "wrong":
                chosen = self._wrong(line, rows)
            elif images is not None and base == "identified":
                probes = some_of(images, _probes(base, budget), setting.seed)
                chosen = offered[_nearest(*(answers_of(each, told, probes) for each in (victims, candidates)))]
            found.append(line.models.taken(torch.from_numpy(chosen), OF_A_PART))
        return found

    def ask(self, method: Extractor, setting: Setting) -> Weights:
        """Extract. Methods see a base for each victim, or none, and the victims' answers."""
        models, made = self.victims_of(setting.target), []
        asked = product(self.told, self.bases, self.budgets)
        for (told, base, budget), bases in zip(asked, self.bases_of(setting), strict=True):
            victims = Victims(models, told, budget - _probes(base, budget))
            made.append(method.extract(victims, bases, setting.seed))
        return Weights(torch.cat(made))

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row for each copy.

        Columns: those of `copies`; model, the family of the victim; agreement, the share of test images that the copy
        gives the victim's class; accuracy, the copy's on these.
        """
        line, rows = self._drawn(setting.target)
        table, victims = self.copies(setting), self.victims_of(setting.target)
        test, numbers = setting.images.of(victims.row, "test"), np.array(table["victim"])
        copies = victims.taken(torch.from_numpy(numbers)).with_weights(answer.weights)
        given = logits_of(copies, test.images, setting.device).argmax(2)
        wanted = logits_of(victims, test.images, setting.device).argmax(2)[numbers]
        return table.assign(
            model=line.families[rows][numbers],
            agreement=(given == wanted).double().mean(1).numpy(),
            accuracy=(given == test.labels).double().mean(1).numpy(),
        )

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over copies: `accuracy`; `agreement`, also by what is told, by base and by budget, such as
        `agreement:logits:true:50`.

        `queries:logits:true`: the budget at which agreement reaches `ENOUGH`, between two budgets on a straight line
        over the logarithm. It is at least the first budget, and that is an upper bound; a victim that is never copied
        counts with the last budget, which is a lower one: `reached:logits:true` is the share of the others.
        `advantage:logits:true`: the queries without a base by those with it. Intervals are of families drawn again.
        """
        found = {name: Estimate.mean(observations["model"], observations[name]) for name in ("agreement", "accuracy")}
        for told, of_told in observations.groupby("told", sort=False):
            found[f"agreement:{told}"] = Estimate.mean(of_told["model"], of_told["agreement"])
            kinds = {str(base): rows for base, rows in of_told.groupby("base", sort=False)}
            queries = {base: _queries(rows) for base, rows in kinds.items()}
            for base, rows in kinds.items():
                of, model, least = f"{told}:{base}", rows["model"], rows["victim"].map(queries[base]["queries"])
                found[f"agreement:{of}"] = Estimate.mean(model, rows["agreement"])
                for budget, some in rows.groupby("budget"):
                    found[f"agreement:{of}:{budget}"] = Estimate.mean(some["model"], some["agreement"])
                found[f"queries:{of}"] = Estimate.mean(model, least)
                found[f"reached:{of}"] = Estimate.mean(model, rows["victim"].map(queries[base]["reached"]))
                if base != "none" and "none" in queries:
                    scratch = rows["victim"].map(queries["none"]["queries"])
                    found[f"advantage:{of}"] = Estimate.ratio(model, scratch, least)
        return found

    def _drawn(self, target: Population) -> tuple[Lineage, NDArray[np.int64]]:
        """The lineage of test models, and the rows of the victims, ascending: from as many families as there are."""
        random, line = np.random.default_rng(self.seed), tested_lineage(target)
        able = random.permutation(np.flatnonzero(~line.is_parent & (line.parents != NONE)))
        turn = pd.Series(line.families[able]).groupby(line.families[able]).cumcount()
        return line, np.sort(able[np.argsort(turn.to_numpy(), kind="stable")][: self.victims])

    def _wrong(self, line: Lineage, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each victim a parent of another family."""
        others = [np.flatnonzero(line.is_parent & (line.families != family)) for family in line.families[rows]]
        if not all(len(each) for each in others):
            raise InputError(f"{line.models.name} has one family, so no base is wrong; take a larger zoo")
        random = np.random.default_rng(self.seed)
        return np.array([random.choice(each) for each in others])

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Copies, each trained on some 13,000 images as built-in methods train, and tested."""
        copies = self.victims * len(self.told) * len(self.bases) * len(self.budgets)
        return Work(models=copies, images=copies * (3 * 13_000 + TEST_IMAGES))


def _probes(base: Base, budget: int) -> int:
    """Of the queries, those that identify the base."""
    return min(PROBES, budget // 2) if base == "identified" else 0


def _queries(rows: pd.DataFrame) -> pd.DataFrame:
    """By victim, for copies of one kind of answers and base: queries, and reached, 1 if that was enough, else 0."""
    curves = rows.groupby(["victim", "budget"])["agreement"].first().unstack()
    values, logs, each = curves.to_numpy(float), np.log(curves.columns.to_numpy(float)), np.arange(len(curves))
    reached = (values >= ENOUGH).any(1)
    last = np.where(reached, (values >= ENOUGH).argmax(1), len(logs) - 1)
    before = np.maximum(last - 1, 0)
    low, high = values[each, before], values[each, last]
    between = reached & (last > 0)
    share = np.where(between, (ENOUGH - low) / np.where(between, high - low, 1.0), 1.0)
    queries = np.exp(logs[before] + share * (logs[last] - logs[before]))
    return pd.DataFrame({"queries": queries, "reached": reached.astype(float)}, index=curves.index)


def _nearest(answers: Tensor, others: Tensor) -> NDArray[np.int64]:
    """For each of some answers [victims, images, classes] the nearest of others [candidates, images, classes]."""
    return torch.cdist(answers.flatten(1), others.flatten(1)).argmin(1).numpy()


EXTRACTION = Extraction()
