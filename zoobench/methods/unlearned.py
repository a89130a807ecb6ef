"""Base class of methods without fitted state; only the configuration is saved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.settings import sentence
from zoobench.methods.protocols import HERE, Execution
from zoobench.populations import TokenSet

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Unlearned:
    """A method that learns nothing and is its own configuration.

    A subclass that is a frozen dataclass has its hyperparameters as fields with defaults; its presets are instances of
    it. If it draws at random, it has a field `seed`, the seed of the fit.
    """

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: Self | None, execution: Execution = HERE) -> Self:
        made = cls() if config is None else config
        given = {"seed": seed} if any(field.name == "seed" for field in fields(cls)) else {}
        return replace(made, **given)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        if not fields(cls):
            return cls()
        values = read_json(path / SETTINGS, f"the settings of the {cls.__name__}")
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise InputError(f"{path / SETTINGS} is damaged ({sentence(error)}); make it again") from None

    def save(self, path: Path) -> None:
        with directory_written_aside(path) as aside:
            if fields(self):
                write_json(aside / SETTINGS, asdict(self))
