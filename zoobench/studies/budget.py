"""How long a composition's methods are trained: by steps, by passes over its tokens, or by core-seconds."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator

from zoo_generation.settings import Fields

Amount = Annotated[float, Field(gt=0)]
BudgetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$", max_length=60)]
"""Such as `equal epochs`."""


class Budget(Fields):
    """How long a fit takes, one of three.

    steps: of the training; epochs: passes over the tokens of the composition's training models; core_seconds: CPU
    seconds in all threads, on a GPU seconds.
    """

    steps: PositiveInt | None = None
    epochs: Amount | None = None
    core_seconds: Amount | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Budget:
        if sum(given is not None for given in self.model_dump().values()) != 1:
            raise ValueError("a budget is one of steps, epochs and core_seconds, such as 'budget: {epochs: 20}'")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The budget as hyperparameters; the default steps stay, since epochs and core-seconds go before them."""
        return {"epochs": None, "core_seconds": None} | self.model_dump(exclude_none=True)


def has_budget(config: object) -> bool:
    """Whether a method of this configuration can be given a budget: it has all three hyperparameters."""
    known = {field.name for field in dataclasses.fields(config)} if dataclasses.is_dataclass(config) else set()
    return set(Budget.model_fields) <= known


def budget_words(config: Any) -> str:
    """The budget of a configuration, such as `20 epochs`; `–` if it has none."""
    if not has_budget(config):
        return "–"
    for name in ("epochs", "core_seconds"):
        if (given := getattr(config, name)) is not None:
            return f"{given:g} {name.replace('_', '-')}"
    return f"{config.steps} steps"
