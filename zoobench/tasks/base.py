"""What a task is: what it asks of a method, what it observes of it, and how that is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd
from torch import Tensor

from zoobench.methods.protocols import InapplicableError as InapplicableError
from zoobench.populations import Population
from zoobench.tasks.estimates import Sums


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a method is measured.

    target: the population, with all its splits; training: populations, with all their splits, that the method was
    fitted to the training models of; data_root: where the target's images are.
    """

    target: Population
    training: tuple[Population, ...]
    seed: int
    data_root: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it.

    observations: a row each, of columns that are the task's own; one of them, `model`, says of which model. weights:
    of the models that the method made [models, D], if it made any.
    """

    observations: pd.DataFrame
    weights: Tensor | None = None


Answer = pd.DataFrame | Tensor
"""What a method hands in, and can be judged by: predictions, or weights [models, D]."""


class Task(Protocol):
    """A task, whose fields say how it is measured.

    Scores depend on observations alone, and these on what a method hands in, so that both can be checked.
    """

    @property
    def name(self) -> str: ...

    @property
    def primary(self) -> str:
        """The metric that it ranks by; higher is better."""
        ...

    @property
    def reads_training(self) -> bool:
        """Whether it reads the training models itself, besides what the method learned of them."""
        ...

    @property
    def hands_in(self) -> Literal["predictions", "weights"]:
        """What is judged: predictions (columns model, epoch, property, predicted, predicted_class), or weights."""
        ...

    def asks(self, method: Any) -> bool:
        """Whether the method, or its class, implements what the task asks for."""
        ...

    def observe(self, method: Any, setting: Setting) -> Outcome:
        """Raises `InapplicableError` where that cannot be in such a setting."""
        ...

    def handed_in(self, target: Population) -> range:
        """How many models' weights may be handed in for a target; none, where predictions are."""
        ...

    def judged(self, target: Population) -> Population:
        """The checkpoints of a target that judging reads: it needs no others."""
        ...

    def judge(self, answer: Any, setting: Setting) -> pd.DataFrame:
        """The observations of what a method hands in: of an `Outcome` its weights, or else its observations.

        Of a setting it reads all but what was trained on.
        """
        ...

    def score(self, observations: pd.DataFrame) -> dict[str, float]:
        """Values by metric."""
        ...

    def sums(self, observations: pd.DataFrame) -> dict[str, Sums]:
        """Those metrics that can be computed anew when models are drawn again, as in a bootstrap."""
        ...
