"""How well a linear probe reads a checkpoint's properties off its embedding, on the population it was fitted to.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
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

POOLED = "pooled_property_prediction"
"""The same with one probe for all populations that a method was trained on, tested on the test models of all."""


@dataclass(frozen=True)
class PropertyPrediction:
    """A probe is fitted to the target's training and validation models, and tested on its test models.

    Observations and metrics are those of `probe.read` and `probe.score`.
    """

    name = "property_prediction"
    reads_training = False
    primary = "r2:test_accuracy"
    hands_in: ClassVar[Literal["predictions"]] = "predictions"

    def asks(self, method: Any) -> bool:
        """For an `Embedder`, and for a `Predictor`, which takes the place of the probe."""
        return isinstance(method, Embedder | Predictor)

    def observe(self, method: Embedder | Predictor, setting: Setting) -> Outcome:
        """Embed the target, fit, read."""
        return Outcome(probe.read_by(method, [setting.target.without("test")], setting.target.split("test")))

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
