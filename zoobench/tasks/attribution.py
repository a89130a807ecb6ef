"""Which training images made models answer as they do: the linear datamodeling score.

Sources: Ilyas et al., Datamodels, arXiv 2202.00622; Park et al., TRAK, arXiv 2303.14186, section 2 (the score).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import margins
from zoobench.methods.protocols import Attributor, InapplicableError
from zoobench.populations import Access, Population
from zoobench.populations.logits import logits_of
from zoobench.populations.population import OPEN
from zoobench.populations.subsets import masks_of
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import ScoreForm
from zoobench.tasks.rank_correlation import drawn_counts, spearman
from zoobench.tasks.reconstruction import last_checkpoints

DRAWS = 200
"""How often subsets are drawn again for intervals."""

FEWEST = 3
"""Subsets, at least: of fewer, every rank correlation is 1, 0 or -1."""


@dataclass(frozen=True)
class Attribution:
    """Say how much each training image contributes to the margin of each of some test images, in models on half of the
    images, say.

    A method gets the sources' models on random subsets of the same training images: their weights, checkpoints and
    subsets; the training images with labels; and the asked test images with their labels, whose margin is asked about,
    as in the literature. The target's models saw other subsets, which nobody sees. By a method's scores an image's
    margin changes with a subset as their sum over it; the truth is the margin of the target's models that saw this
    subset, in the mean over its seeds. The linear datamodeling score of a test image is Spearman's correlation of the
    two over subsets.

    images: how many test images are asked about, the first ones of each class, equally many of each. evaluated: `test`,
    the target's test models, where sources have the others; `all`, every model of the target, which must not be among
    the sources.
    """

    images: int = 200
    evaluated: Literal["test", "all"] = "test"

    name: ClassVar[str] = "attribution"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Say what each training image contributes: how well that foretells models on other subsets"
    paper: ClassVar[str] = "arXiv 2303.14186"
    primary: ClassVar[str] = "lds"
    asks: ClassVar = Attributor
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"attribution was given {self.images} test images to ask about; take 1 or more")

    def reads(self, target: Population) -> Population:
        """The last checkpoints of the models that are evaluated."""
        return last_checkpoints(target if self.evaluated == "all" else target.split("test"), len(target))

    def form(self, setting: Setting) -> ScoreForm:
        """A row for each asked test image, by its number, and a column for each training image."""
        numbers, _ = self._asked(setting)
        images = len(setting.images.of(setting.target.row, "train").labels)
        return ScoreForm(tuple(map(str, numbers.tolist())), tuple(map(str, range(images))))

    def ask(self, method: Attributor, setting: Setting) -> Scores:
        """Ask with the sources' models. Raises `InapplicableError` if no source has models on subsets of the target's
        images, and `InputError` if one has models that are evaluated."""
        _, asked = self._asked(setting)
        form = self.form(setting)
        return Scores(method.attribute(self._bank(setting), asked), form.rows, form.columns)

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row for each asked test image and each subset.

        Columns: model, the number of the test image; subset, its seed; predicted, the sum of the scores of its images;
        margin, the mean over the models on it; half and other_half, that of every other one of these, null if there is
        a single one.
        """
        models = self.reads(setting.target)
        models = models.select(models.table["subset_seed"].notna())
        numbers, asked = self._asked(setting)
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
        `ceiling`, what the margins' own noise leaves to be reached, by that of halves of the models on each subset
        (Spearman-Brown); `of_ceiling`, the ratio of these means. Intervals are of test images and of subsets, both
        drawn again, since all test images share the subsets.
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
        agreed = spearman(half, other, counts[:, twice]).clip(min=0)
        ceiling = np.sqrt(2 * agreed / (1 + agreed))
        return scores | {"ceiling": Estimate.drawn(names, ceiling), "of_ceiling": Estimate.drawn(names, found, ceiling)}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """What gradients of ten models cost, about three forward passes for each of their images, and what the
        evaluated models answer."""
        return Work(models=10, images=30 * (train_images + self.images) + checkpoints * self.images)

    def _asked(self, setting: Setting) -> tuple[Tensor, Images]:
        """The numbers of the asked test images in the test split, ascending, and these images with their labels."""
        test = setting.images.of(setting.target.row, "test")
        classes = test.labels.unique()
        each = max(1, self.images // len(classes))
        chosen = torch.cat([(test.labels == label).nonzero().flatten()[:each] for label in classes])
        numbers = chosen.sort().values[: self.images]
        return numbers, Images(test.images[numbers], test.labels[numbers])

    def _bank(self, setting: Setting) -> Population:
        """The sources' models on subsets of the target's images."""
        row, known = setting.target.row, [name for name in OPEN if name in setting.target.table]
        for source in setting.sources:
            if not len(source) or "subset_seed" not in source.table or source.table["subset_seed"].isna().all():
                continue
            if source.layout == setting.target.layout and _same(source.row[known], row[known]):
                if set(source.table["model_id"]) & set(self.reads(setting.target).table["model_id"]):
                    raise InputError(
                        f"all models of {setting.target.name} are evaluated, and {source.name} has some of them; give "
                        "the task evaluated='test', or another zoo to learn from"
                    )
                return source
        raise InapplicableError(
            f"no training zoo has models on random subsets of the images of {setting.target.name}; take one whose spec "
            "has a subset_fraction"
        )


def _same(one: pd.Series, other: pd.Series) -> bool:
    return one.where(one.notna(), None).tolist() == other.where(other.notna(), None).tolist()


ATTRIBUTION = Attribution()
