"""What tasks share that ask for a score of each training image for each of some test images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoobench.methods.protocols import Attributor, InapplicableError
from zoobench.populations import Access, Population
from zoobench.populations.population import OPEN
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting
from zoobench.tasks.forms import ScoreForm


@dataclass(frozen=True)
class ImageScores:
    """A method gets the sources' models on random subsets of the target's training images: their weights, checkpoints
    and subsets; these images with labels; and test images with their labels, about which it is asked.

    images: how many test images, the first ones of each class, equally many of each.
    """

    images: int = 200

    asks: ClassVar = Attributor
    access: ClassVar[Access] = Access.LABELS
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"attribution was given {self.images} test images to ask about; take 1 or more")

    def form(self, setting: Setting) -> ScoreForm:
        """A row for each asked test image, by its number, and a column for each training image."""
        numbers, _ = self.asked(setting)
        images = len(setting.images.of(setting.target.row, "train").labels)
        return ScoreForm(tuple(map(str, numbers.tolist())), tuple(map(str, range(images))))

    def ask(self, method: Attributor, setting: Setting) -> Scores:
        """Ask with the sources' models. Raises `InapplicableError` if no source has models on subsets of the target's
        images, and `InputError` if one has models that are evaluated."""
        _, asked = self.asked(setting)
        form = self.form(setting)
        return Scores(
            method.attribute(subset_models(setting, self.hidden(setting.target)), asked), form.rows, form.columns
        )

    def hidden(self, target: Population) -> set[str]:
        """The ids of the target's models that no source may have."""
        return set()

    def asked(self, setting: Setting) -> tuple[Tensor, Images]:
        """The numbers of the asked test images in the test split, ascending, and these images with their labels."""
        test = setting.images.of(setting.target.row, "test")
        classes = test.labels.unique()
        each = max(1, self.images // len(classes))
        chosen = torch.cat([(test.labels == label).nonzero().flatten()[:each] for label in classes])
        numbers = chosen.sort().values[: self.images]
        return numbers, Images(test.images[numbers], test.labels[numbers])


def subset_models(setting: Setting, hidden: Collection[str]) -> Population:
    """The sources' models on random subsets of the target's images.

    hidden: ids of models that none of them may be. Raises `InputError` if one is, and `InapplicableError` if there are
    no such models.
    """
    row, known = setting.target.row, [name for name in OPEN if name in setting.target.table]
    for source in setting.sources:
        if not len(source) or "subset_seed" not in source.table or source.table["subset_seed"].isna().all():
            continue
        if source.layout == setting.target.layout and _same(source.row[known], row[known]):
            if not set(hidden).isdisjoint(source.table["model_id"]):
                raise InputError(
                    f"all models of {setting.target.name} are evaluated, and {source.name} has some of them; give the "
                    "task evaluated='test', or another zoo to learn from"
                )
            return source
    raise InapplicableError(
        f"no training zoo has models on random subsets of the images of {setting.target.name}; take one whose spec has "
        "a subset_fraction"
    )


def _same(one: pd.Series, other: pd.Series) -> bool:
    return one.where(one.notna(), None).tolist() == other.where(other.notna(), None).tolist()
