"""Which training images a model saw, read off the model.

Source: Carlini et al., Membership Inference Attacks From First Principles, arXiv 2112.03570 (the attack, its measures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoo_generation.errors import InputError
from zoobench.methods.protocols import InapplicableError, MembershipReader
from zoobench.populations import Access, Population
from zoobench.populations.subsets import masks_of
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import ScoreForm
from zoobench.tasks.image_scores import subset_models
from zoobench.tasks.reconstruction import last_checkpoints

FALSE = 0.01
"""The share of the images that a model did not see from which on images count as found."""


@dataclass(frozen=True)
class Membership:
    """Say for each training image whether a model saw it, by the model's weights, of models on random subsets.

    A method also gets the sources' models on other subsets, of which it knows the subsets, and the training images with
    their labels. evaluated: `test`, the target's test models, where sources have the others; `all`, every model of the
    target, which must not be among the sources. models: how many are asked about at most, evenly spread over these.
    """

    evaluated: Literal["test", "all"] = "test"
    models: int = 100

    name: ClassVar[str] = "membership"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Say which training images a model saw"
    paper: ClassVar[str] = "arXiv 2112.03570"
    primary: ClassVar[str] = "auc"
    asks: ClassVar = MembershipReader
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.models < 1:
            raise InputError(f"membership was given {self.models} models to ask about; take 1 or more")

    def reads(self, target: Population) -> Population:
        """The last checkpoints of the models that are asked about.

        Raises `InapplicableError` if not all of them saw random subsets.
        """
        found = last_checkpoints(target if self.evaluated == "all" else target.split("test"), self.models)
        if "subset_seed" not in found.table or found.table["subset_seed"].isna().any():
            raise InapplicableError(
                f"the models of {target.name} did not see random subsets of their images; take a zoo whose spec has a "
                "subset_fraction"
            )
        return found

    def form(self, setting: Setting) -> ScoreForm:
        """A row for each different model, in the order of their names, and a column for each training image."""
        models = self.reads(setting.target)
        first, _ = models.order
        images = len(setting.images.of(setting.target.row, "train").labels)
        return ScoreForm(tuple(models.names[first].tolist()), tuple(map(str, range(images))))

    def ask(self, method: MembershipReader, setting: Setting) -> Scores:
        """Ask about weights alone. Raises as `subset_models` does."""
        models, form = self.reads(setting.target), self.form(setting)
        known = subset_models(setting, set(models.table["model_id"]))
        return Scores(method.memberships(models.blind(), known), form.rows, form.columns)

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row for each model and training image. Columns: model, the name of its weights; image; score; seen."""
        models = self.reads(setting.target)
        first, _ = models.order
        seen = masks_of(models.table.iloc[first], answer.values.shape[1])
        rows, images = answer.values.shape
        known = {"model": np.repeat(answer.rows, images), "image": np.tile(np.arange(images), rows)}
        return pd.DataFrame(known | {"score": answer.values.flatten().numpy(), "seen": seen.flatten().numpy()})

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """`auc`, the mean over models of the probability that an image that the model saw has a higher score than one
        that it did not (ties count half); `tpr`, that of the share of seen images above all but `FALSE` of the others;
        `auc_by_image`, the first for two models, of which one saw the image and the other did not: what is left where
        images differ in nothing but that."""
        wide = {name: observations.pivot(index="model", columns="image", values=name) for name in ("score", "seen")}
        names = wide["score"].index.astype(str)
        scores, seen = wide["score"].to_numpy(float), wide["seen"].to_numpy(bool)
        of_model = [_auc_and_found(row, members) for row, members in zip(scores, seen, strict=True)]
        auc, found = (pd.Series(values, dtype=float) for values in zip(*of_model, strict=True))
        models = pd.Series(names)
        pairs = Estimate("pairs", tuple(names), _wins(scores, seen))
        return {"auc": Estimate.mean(models, auc), "tpr": Estimate.mean(models, found), "auc_by_image": pairs}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """What gradients of the asked models cost, about three forward passes for each image."""
        return Work(models=self.models, images=3 * self.models * train_images)


def _auc_and_found(scores: NDArray[np.float64], seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Of one model's scores [images], see `Membership.score`. NaN if it saw all images or none."""
    others = np.sort(scores[~seen])
    if not len(others) or not seen.any():
        return float("nan"), float("nan")
    below, upto = (np.searchsorted(others, scores[seen], side) for side in ("left", "right"))
    limit = others[int(np.ceil((1 - FALSE) * len(others))) - 1]
    return float((below + upto).mean() / 2 / len(others)), float((scores[seen] > limit).mean())


def _wins(scores: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each pair of models, the first of which saw an image and the second did not: in how many images its score is
    higher, ties counted half, and how many there are. [models, models, 2]"""
    sums = np.zeros((len(scores), len(scores), 2))
    for first, (own, has) in enumerate(zip(scores, seen, strict=True)):
        counted = has & ~seen
        higher = np.where(own > scores, 1.0, np.where(own == scores, 0.5, 0.0))
        sums[first, :, 0], sums[first, :, 1] = (higher * counted).sum(1), counted.sum(1)
    return sums


MEMBERSHIP = Membership()
