"""How much of a model's accuracy remains after encoding and decoding it.

Source: Schürholt, Mahoney & Borth, SANE, arXiv 2406.09997, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoobench.methods.protocols import Reconstructor
from zoobench.populations import Access, Population
from zoobench.populations.target import Target
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.invariance import copies_of


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruct the last checkpoint of each of the target's test models, at most `checkpoints` of them.

    `passes` batches of training images set BatchNorm's statistics, before and after alike.
    """

    checkpoints: int = 32
    passes: int = 3

    name: ClassVar[str] = "reconstruction"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Encode and decode models: how much of their accuracy is left"
    paper: ClassVar[str] = "arXiv 2406.09997"
    primary: ClassVar[str] = "kept"
    asks: ClassVar = Reconstructor
    access: ClassVar[Access] = Access.WEIGHTS
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.checkpoints < 1:
            raise InputError(f"reconstruction was given {self.checkpoints} checkpoints to reconstruct; take 1 or more")

    def form(self, setting: Setting) -> WeightForm:
        """One model per checkpoint to reconstruct; checkpoints with the same weights count once."""
        return WeightForm.of_each(self.reads(setting.target))

    def ask(self, method: Reconstructor, setting: Setting) -> Weights:
        """Reconstruct, in the order of the test models, and reconstruct copies of them, see `invariance`."""
        asked = self.reads(setting.target)
        copies = copies_of(asked, setting.seed)
        of_copies = None if copies is None else copies.asked(method.reconstruct)
        return Weights(asked.asked(method.reconstruct), of_copies=of_copies)

    def reads(self, target: Population) -> Population:
        """The checkpoints to reconstruct."""
        return last_checkpoints(target.split("test"), self.checkpoints)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """Observations: model, and its test accuracy before (original) and after (reconstructed); of_copy: that of its
        reconstructed copy, if it is known."""
        asked = self.reads(setting.target)
        made = {"original": asked.weights, "reconstructed": answer.weights}
        if answer.of_copies is not None:
            made["of_copy"] = answer.of_copies
        tested = {name: self._accuracies(weights, asked, setting).tolist() for name, weights in made.items()}
        return pd.DataFrame({"model": asked.table["model_id"].astype(str)} | tested)

    def _accuracies(self, weights: Tensor, population: Population, setting: Setting) -> Tensor:
        """Test accuracy [checkpoints] of weights [checkpoints, D], each as a model of its own activation."""
        accuracy = torch.zeros(len(weights), dtype=torch.float64)
        for _, rows in population.table.groupby("activation", dropna=False):
            target, places = Target.of(population.select(population.table.index.isin(rows.index))), rows.index.tolist()
            training, test = (setting.images.of(target.row, split) for split in ("train", "test"))
            module, layout = target.module(), target.layout
            conditioned = condition_batch_norm(
                weights[places], layout, module, training, self.passes, device=setting.device
            )
            accuracy[places] = accuracies(conditioned, layout, module, test, setting.device)
        return accuracy

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Mean accuracies, original and reconstructed, and the share of the first that the second keeps; `change`, the
        mean absolute difference of accuracy that it makes to reconstruct a copy, if it is known."""
        model, original, reconstructed = (observations[name] for name in ("model", "original", "reconstructed"))
        scores = {
            "original": Estimate.mean(model, original),
            "reconstructed": Estimate.mean(model, reconstructed),
            "kept": Estimate.ratio(model, reconstructed, original),
        }
        if "of_copy" in observations:
            scores["change"] = Estimate.mean(model, (observations["of_copy"] - reconstructed).abs())
        return scores

    def work(self, checkpoints: int, train_images: int) -> Work:
        """A tenth of the checkpoints, encoded, decoded and evaluated twice, and evaluated unchanged."""
        models = min(self.checkpoints, checkpoints / 10)
        return Work(models=4 * models, images=3 * models * TEST_IMAGES)


def last_checkpoints(population: Population, count: int) -> Population:
    """The last checkpoint of each model, of at most `count` models, evenly spread over them.

    Raises `InputError` if there are no test models.
    """
    if not len(population):
        raise InputError(f"{population.name} has too few models for any of them to be test models; take a larger zoo")
    last = population.table.groupby("model_id", sort=False)["epoch"].idxmax().to_numpy()
    some = np.linspace(0, len(last) - 1, min(count, len(last))).round().astype(int)
    return population.select(population.table.index.isin(last[some]))


RECONSTRUCTION = Reconstruction()
