"""Phases of the loss landscape: a rule of three thresholds.

Yang et al., arXiv 2107.11228, draw the phases by hand and publish no threshold. With those below, the rule draws their
lines again on the metrics that they published: `tests/zoo/test_phases.py`.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat

from zoo_generation.settings import Fields

PHASES = ("I", "II", "III", "IV-A", "IV-B")
MEANINGS = {
    "I": "not trained, not connected",
    "II": "not trained, connected",
    "III": "trained, not connected",
    "IV-A": "trained, connected, unlike",
    "IV-B": "trained, connected, alike",
}


class PhaseRule(Fields):
    """What decides a cell's phase: training loss, then mode connectivity, then likeness of its models.

    loss: nats, the largest of a trained cell; connectivity: per cent, the least of a connected one; likeness: the
    largest CKA of a cell whose models are unlike. The last is for probabilities of 10 classes on mixed images; CKA of
    more classes, or of logits, is larger.

    >>> rule = PhaseRule()
    >>> rule.phases(pd.DataFrame({"train_loss": [1.0, 0.0], "mode_connectivity": [-9.0, 0.1], "cka": [0.5, 0.8]}))
    ['I', 'IV-B']
    """

    loss: NonNegativeFloat = 0.05
    connectivity: float = -1.5
    likeness: Annotated[float, Field(ge=0, le=1)] = 0.70

    def phases(self, cells: pd.DataFrame) -> list[str | None]:
        """The phase of each row, one of `PHASES`; None if the row lacks what decides it.

        cells: columns `train_loss`, `mode_connectivity` and `cka`, one row per cell.
        """
        loss, connected, alike = (cells[name].to_numpy(float) for name in ("train_loss", "mode_connectivity", "cka"))
        trained, joined = loss <= self.loss, connected >= self.connectivity
        found = np.select(
            [~trained & ~joined, ~trained & joined, trained & ~joined, alike > self.likeness],
            ["I", "II", "III", "IV-B"],
            "IV-A",
        )
        unknown = np.isnan(loss) | np.isnan(connected) | (trained & joined & np.isnan(alike))
        return [None if lacks else str(phase) for phase, lacks in zip(found, unknown, strict=True)]
