"""How far each skill of a network is learned, read off its weights, now or at the end of its training.

The truth is exact: networks were run on every input of every skill. Source of the skills: Nam et al., arXiv 2404.17563.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from zoobench.methods.protocols import Embedder, InapplicableError, Predictor, TablePredictor
from zoobench.populations import Population
from zoobench.tasks.answers import Predictions
from zoobench.tasks.base import Setting
from zoobench.tasks.probe import SKILLS
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo.schema import skills_among


@dataclass(frozen=True)
class SkillPrediction(PropertyPrediction):
    """The strength of each skill in [0, 1] of unseen models: its R², and the accuracy of whether it is above a half.

    Fields are as of `PropertyPrediction`.
    """

    properties: tuple[str, ...] = (SKILLS,)

    paper: ClassVar[str] = "arXiv 2404.17563"

    @property
    def name(self) -> str:
        """`skill_prediction`."""
        return "skill_prediction"

    @property
    def summary(self) -> str:
        """In one line."""
        return "Read off weights how far each skill is learned, on zoos whose skills are known exactly"

    @property
    def primary(self) -> str:
        """By R² within skills."""
        return f"r2:{SKILLS}"

    def ask(self, method: Embedder | Predictor | TablePredictor, setting: Setting) -> Predictions:
        """As of `PropertyPrediction`. Raises `InapplicableError` also if the zoo has no skills."""
        if not skills_among(setting.target.table):
            raise InapplicableError(f"{setting.target.name} has no skills; take a zoo of the dataset sparse_parity")
        return super().ask(method, setting)


@dataclass(frozen=True)
class SkillForecast(SkillPrediction):
    """The strength of each skill after the last epoch, asked with the weights of an early checkpoint.

    after: the epoch of that checkpoint, None for the first one that each model has. Other fields are as of
    `PropertyPrediction`; `checkpoints` changes nothing.
    """

    after: int | None = None

    @property
    def name(self) -> str:
        """`skill_forecast`."""
        return "skill_forecast"

    @property
    def summary(self) -> str:
        """In one line."""
        return "Foretell from early weights how far each skill is learned at the end of training"

    def _taken(self, population: Population) -> Population:
        """The early checkpoints, with the strengths of each model's last one."""
        table = population.table
        names = skills_among(table)
        last = table.sort_values("epoch").groupby("model_id")[names].last()
        early = population.select(self._early(population))
        foretold = last.loc[early.table["model_id"]].reset_index(drop=True)
        return early.with_table(early.table.assign(**{name: foretold[name] for name in names}))

    def reads(self, target: Population) -> Population:
        """The test models' early checkpoints, and their last ones."""
        test = target.split("test")
        last = test.table["epoch"] == test.table.groupby("model_id")["epoch"].transform("max")
        return test.select(self._early(test) | last)

    def _early(self, population: Population) -> pd.Series:
        """Which of the checkpoints are asked about."""
        epochs = population.table["epoch"]
        if self.after is not None:
            return epochs == self.after
        return epochs == epochs.groupby(population.table["model_id"]).transform("min")


SKILL_PREDICTION = SkillPrediction()
SKILL_FORECAST = SkillForecast()
