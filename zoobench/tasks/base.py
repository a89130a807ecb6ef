"""What a task is: what it asks of a method, what it observes of it, and how that is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.tasks.sums import Sums
from zoobench.tokens import Population


class InapplicableError(InputError):
    """A task cannot be done by a method in a setting, whatever its models are; nothing went wrong."""


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


class Task(Protocol):
    """A task, whose fields say how it is measured. Scores depend on observations alone, so that they can be checked."""

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

    def asks(self, method: Any) -> bool:
        """Whether the method, or its class, implements what the task asks for."""
        ...

    def observe(self, method: Any, setting: Setting) -> Outcome:
        """Raises `InapplicableError` where that cannot be in such a setting."""
        ...

    def score(self, observations: pd.DataFrame) -> dict[str, float]:
        """Values by metric."""
        ...

    def sums(self, observations: pd.DataFrame) -> dict[str, Sums]:
        """Those metrics that can be computed anew when models are drawn again, as in a bootstrap."""
        ...
