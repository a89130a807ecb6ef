"""How well a linear probe reads a checkpoint's properties off its embedding, on the population it was fitted to.

Source: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from zoobench.methods.base import Embedder
from zoobench.tasks import probe
from zoobench.tasks.base import Outcome, Setting
from zoobench.tasks.probe import Embedded
from zoobench.tasks.sums import Sums

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

    def asks(self, method: Any) -> bool:
        """For an `Embedder`."""
        return isinstance(method, Embedder)

    def observe(self, method: Embedder, setting: Setting) -> Outcome:
        """Embed the target, fit, read."""
        embedded = Embedded.of(method, setting.target)
        return Outcome(probe.read(embedded.rest, embedded.test))

    def score(self, observations: pd.DataFrame) -> dict[str, float]:
        return probe.score(observations)

    def sums(self, observations: pd.DataFrame) -> dict[str, Sums]:
        return probe.sums(observations)
