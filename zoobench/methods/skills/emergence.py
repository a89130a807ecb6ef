"""Predict skills from how models were trained, by theory: what a method must beat before its weights say anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.theory.emergence import fit_in_time, in_time
from zoobench.zoo.emergence import skills_of, steps_of

TIME = {"learning_rate", "batch_size", "train_images", "epoch", "split"}
"""Columns that the law itself takes, or that say nothing."""


class EmergenceLaw(Unlearned):
    """The sigmoid in learning rate times steps by which a skill emerges, with its two constants, the speed and the
    start, fitted to the known checkpoints of models that agree in everything else; or to all, where there are none.

    Source: Nam et al., arXiv 2404.17563, equation 14, whose constants hold for one size of network only. It is the
    average over seeds that it can foretell.
    """

    def predict_from(
        self, known: pd.DataFrame, values: NDArray[Any], asked: pd.DataFrame
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """See `TablePredictor.predict_from`. Raises `InapplicableError` for models without skills, and for classes."""
        if values.dtype.kind != "f" or not all(skills_of(name) for name in known["dataset"].unique()):
            raise InapplicableError("the law of emergence predicts strengths of skills; this is something else")
        rest = [name for name in known if name not in TIME]
        given, wanted = (table[rest].astype(str).agg("|".join, axis=1) for table in (known, asked))
        told, found = _exposure(known), np.empty(len(asked))
        for kind in wanted.unique():
            rows = (given == kind).to_numpy()
            own = rows if rows.any() else np.ones(len(known), dtype=bool)
            speed, initial = fit_in_time(told[own], values[own])
            there = (wanted == kind).to_numpy()
            found[there] = in_time(_exposure(asked)[there], 1.0, rate=0.5, initial=initial, speed=speed)
        return found


def _exposure(table: pd.DataFrame) -> NDArray[np.float64]:
    """Learning rate times steps [checkpoints]; all other constants are the same for a skill."""
    return np.asarray(table["learning_rate"].to_numpy(float) * steps_of(table))
