"""How much of a model's accuracy is left when it is encoded and decoded again.

Source: Schürholt, Mahoney & Borth, SANE, arXiv 2406.09997, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoobench.methods.protocols import Reconstructor
from zoobench.populations import Population
from zoobench.populations.target import Target
from zoobench.tasks.base import Outcome, Setting
from zoobench.tasks.estimates import Sums


@dataclass(frozen=True)
class Reconstruction:
    """The last checkpoint of each of the target's test models, of `checkpoints` of them at most, is reconstructed.

    `passes` batches of training images set BatchNorm's statistics, before and after alike.
    """

    checkpoints: int = 32
    passes: int = 3

    name = "reconstruction"
    reads_training = False
    primary = "kept"
    hands_in: ClassVar[Literal["weights"]] = "weights"

    def __post_init__(self) -> None:
        if self.checkpoints < 1:
            raise InputError(f"reconstruction was given {self.checkpoints} checkpoints to reconstruct; take 1 or more")

    def asks(self, method: Any) -> bool:
        """For a `Reconstructor`."""
        return isinstance(method, Reconstructor)

    def observe(self, method: Reconstructor, setting: Setting) -> Outcome:
        """Reconstruct. Weights: reconstructed, in the order of the test models."""
        made = self.chosen(setting.target).asked(method.reconstruct)
        return Outcome(self.judge(made, setting), made)

    def chosen(self, target: Population) -> Population:
        """The checkpoints that are to be reconstructed."""
        return last_checkpoints(target.split("test"), self.checkpoints)

    def handed_in(self, target: Population) -> range:
        """All of them, those with the same weights once."""
        count = len(self.chosen(target).order[0])
        return range(count, count + 1)

    def judged(self, target: Population) -> Population:
        return self.chosen(target)

    def judge(self, answer: Tensor, setting: Setting) -> pd.DataFrame:
        """Observations: model, and its test accuracy as it is (original) and reconstructed."""
        chosen = self.chosen(setting.target)
        return pd.DataFrame(
            {
                "model": chosen.table["model_id"].astype(str),
                "original": self._accuracies(chosen.weights, chosen, setting).tolist(),
                "reconstructed": self._accuracies(answer, chosen, setting).tolist(),
            }
        )

    def _accuracies(self, weights: Tensor, population: Population, setting: Setting) -> Tensor:
        """Test accuracy [checkpoints] of weights [checkpoints, D], each as a model of its own activation."""
        accuracy = torch.zeros(len(weights), dtype=torch.float64)
        for _, rows in population.table.groupby("activation", dropna=False):
            target, places = Target.of(population.select(population.table.index.isin(rows.index))), rows.index.tolist()
            training, test = (images_of(target.row, split, setting.data_root) for split in ("train", "test"))
            module, layout = target.module(), target.layout
            conditioned = condition_batch_norm(
                weights[places], layout, module, training, self.passes, device=setting.device
            )
            accuracy[places] = accuracies(conditioned, layout, module, test, setting.device)
        return accuracy

    def score(self, observations: pd.DataFrame) -> dict[str, float]:
        """Mean accuracies, original and reconstructed, and which part of the first is kept in the second."""
        return {name: float(sums.value()) for name, sums in self.sums(observations).items()}

    def sums(self, observations: pd.DataFrame) -> dict[str, Sums]:
        model, original, reconstructed = (observations[name] for name in ("model", "original", "reconstructed"))
        return {
            "original": Sums.mean(model, original),
            "reconstructed": Sums.mean(model, reconstructed),
            "kept": Sums.ratio(model, reconstructed, original),
        }


def last_checkpoints(population: Population, count: int) -> Population:
    """The last checkpoint of each model, of `count` models at most, evenly spread over them.

    Raises `InputError` where there are none.
    """
    if not len(population):
        raise InputError(f"{population.name} has too few models for any of them to be test models; take a larger zoo")
    last = population.table.groupby("model_id", sort=False)["epoch"].idxmax().to_numpy()
    some = np.linspace(0, len(last) - 1, min(count, len(last))).round().astype(int)
    return population.select(population.table.index.isin(last[some]))
