"""What a method answers to a task, and what a submission holds: predictions, weights, or scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Predictions:
    """Properties of checkpoints, as a method predicts them.

    table: one row per checkpoint and property. Columns: model, epoch, property, `predicted` if the property is a
    number, and `predicted_class`, a string, if it is a class.
    """

    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Weights:
    """Models that a method made: flat weights [models, D], float32.

    draws: one row per model that was drawn, from which these were kept; None if there were no others, or they are not
    known. Columns: model, its number as a string; val_accuracy in [0, 1]; place, its row among the weights, -1 if it
    was not kept. A task may add columns. of_copies: what was made of copies of the same inputs, which compute the same
    functions, [models, D]; None if that is not known. beside: what is handed in with each model, by name [models, n].
    """

    weights: Tensor
    draws: pd.DataFrame | None = None
    of_copies: Tensor | None = None
    beside: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scores:
    """How strongly each row is related to each column, such as images and models, or children and parents.

    values: float32 [rows, columns]; rows, columns: their names, each once.
    """

    values: Tensor
    rows: tuple[str, ...]
    columns: tuple[str, ...]


Answer = Predictions | Weights | Scores
