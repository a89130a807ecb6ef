"""How well a linear probe that was fitted to some populations reads the properties of another's models.

Sources: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4 (out of distribution); Falk, Schürholt & Borth,
arXiv 2504.10141 (across architectures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pandas as pd

from zoobench.methods.protocols import Embedder, Predictor
from zoobench.populations import Population
from zoobench.tasks import probe
from zoobench.tasks.base import Outcome, Setting
from zoobench.tasks.estimates import Sums


@dataclass(frozen=True)
class PropertyTransfer:
    """A probe is fitted to the training and validation models of all populations that the method was trained on,
    pooled, and tested on the target's test models: of the target's own others it sees none, unless it is one of those.

    It ranks by τ, since accuracies have another scale in every zoo.
    """

    name = "property_transfer"
    reads_training = True
    primary = "tau:test_accuracy"
    hands_in: ClassVar[Literal["predictions"]] = "predictions"

    def asks(self, method: Any) -> bool:
        """For an `Embedder`, and for a `Predictor`, which takes the place of the probe."""
        return isinstance(method, Embedder | Predictor)

    def observe(self, method: Embedder | Predictor, setting: Setting) -> Outcome:
        """Embed, fit, read; raises `InapplicableError` where the populations' features differ in number."""
        fit = [population.without("test") for population in setting.training]
        return Outcome(probe.read_by(method, fit, setting.target.split("test")))

    def handed_in(self, target: Population) -> range:
        return range(0)

    def judged(self, target: Population) -> Population:
        return target.split("test")

    def judge(self, answer: pd.DataFrame, setting: Setting) -> pd.DataFrame:
        return probe.judge(answer, setting.target.split("test").table)

    def score(self, observations: pd.DataFrame) -> dict[str, float]:
        return probe.score(observations)

    def sums(self, observations: pd.DataFrame) -> dict[str, Sums]:
        return probe.sums(observations)
