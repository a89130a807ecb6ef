"""Which training images made models answer as they do: the linear datamodeling score.

Sources: Ilyas et al., Datamodels, arXiv 2202.00622; Park et al., TRAK, arXiv 2303.14186, section 2 (the score).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import margins
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.logits import logits_of
from zoobench.populations.subsets import masks_of
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.ceiling import ceilings
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.image_scores import ImageScores
from zoobench.tasks.rank_correlation import drawn_counts, spearman
from zoobench.tasks.reconstruction import last_checkpoints

DRAWS = 200
"""How often subsets are drawn again for intervals."""

FEWEST = 3
"""Subsets, at least: of fewer, every rank correlation is 1, 0 or -1."""


@dataclass(frozen=True)
class Attribution(ImageScores):
    """Say how much each training image contributes to the margin of each of some test images, by models on random
    subsets of the training images.

    The target's models saw other subsets, which nobody sees. By a method's scores an image's margin changes with a
    subset as their sum over it; the truth is the margin of the target's models that saw this subset, in the mean over
    its seeds. The linear datamodeling score of a test image is Spearman's correlation of the two over subsets.

    evaluated: `test`, the target's test models, where sources have the others; `all`, every model of the target, which
    must not be among the sources. images: as in `ImageScores`.
    """

    evaluated: Literal["test", "all"] = "test"

    name: ClassVar[str] = "attribution"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "Say what each training image contributes: how well that foretells models on other subsets"
    paper: ClassVar[str] = "arXiv 2303.14186"
    primary: ClassVar[str] = "lds"

    def reads(self, target: Population) -> Population:
        """The last checkpoints of the models that are evaluated."""
        return last_checkpoints(target if self.evaluated == "all" else target.split("test"), len(target))

    def hidden(self, target: Population) -> set[str]:
        """Those that are evaluated."""
        return set(self.reads(target).table["model_id"])

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row for each asked test image and each subset.

        Columns: model, the number of the test image; subset, its seed; predicted, the sum of the scores of its images;
        margin, the mean over the models on it; half and other_half, that of every other one of these, null if there is
        a single one.
        """
        models = self.reads(setting.target)
        models = models.select(models.table["subset_seed"].notna())
        numbers, asked = self.asked(setting)
        if not len(models) or models.table["subset_fraction"].nunique() > 1:
            raise InapplicableError(
                f"the models of {setting.target.name} did not see random subsets of one size; take a zoo whose spec "
                "has a subset_fraction"
            )
        answers = margins(logits_of(models, asked.images, setting.device).double(), asked.labels)
        of_model = pd.DataFrame(answers.numpy(), columns=list(map(str, numbers.tolist())))
        of_model["subset"] = models.table["subset_seed"].astype(int)
        of_model = of_model.iloc[models.table[["seed", "model_id"]].sort_values(["seed", "model_id"]).index]
        half = of_model.groupby("subset").cumcount() % 2
        subsets = models.table.drop_duplicates("subset_seed").sort_values("subset_seed")
        sums = masks_of(subsets, answer.values.shape[1]).double() @ answer.values.double().T
        truth = of_model.groupby("subset").mean()
        wide = {
            "predicted": pd.DataFrame(sums.numpy(), index=truth.index, columns=truth.columns),
            "margin": truth,
            "half": of_model[half == 0].groupby("subset").mean(),
            "other_half": of_model[half == 1].groupby("subset").mean().reindex(truth.index),
        }
        columns = {name: each.to_numpy().ravel() for name, each in wide.items()}
        index = pd.MultiIndex.from_product([truth.index, truth.columns], names=["subset", "model"])
        return pd.DataFrame(columns, index=index).reset_index()

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Means over test images of correlations over subsets: `lds`, of what was predicted and the margins;
        `ceiling`, what the margins' own noise leaves to be reached, by that of halves of the models on each subset (see
        `ceilings`); `of_ceiling`, the ratio of these means. Intervals are of test images and of subsets, both drawn
        again, since all test images share the subsets.
        """
        wide = {
            name: observations.pivot(index="subset", columns="model", values=name)
            for name in ("predicted", "margin", "half", "other_half")
        }
        names = wide["margin"].columns.astype(str).tolist()
        if len(wide["margin"]) < FEWEST:
            raise InputError(f"attribution was judged by {len(wide['margin'])} subsets; take a zoo with more of them")
        counts = drawn_counts(len(wide["margin"]), DRAWS)
        found = spearman(wide["predicted"].to_numpy(), wide["margin"].to_numpy(), counts)
        scores = {"lds": Estimate.drawn(names, found)}
        twice = wide["other_half"].notna().all(axis=1).to_numpy()
        if twice.sum() < FEWEST:
            return scores
        half, other = (wide[name].to_numpy()[twice] for name in ("half", "other_half"))
        ceiling = ceilings(spearman(half, other, counts[:, twice]))
        return scores | {"ceiling": Estimate.drawn(names, ceiling), "of_ceiling": Estimate.drawn(names, found, ceiling)}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """What gradients of ten models cost, about three forward passes for each of their images, and what the
        evaluated models answer."""
        return Work(models=10, images=30 * (train_images + self.images) + checkpoints * self.images)


ATTRIBUTION = Attribution()
