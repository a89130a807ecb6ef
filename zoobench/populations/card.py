"""The card of a token set, `tokens.json`: its fields and their allowed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from zoo_generation.errors import InputError
from zoo_generation.files import read_json
from zoo_generation.networks.architectures import Layout
from zoo_generation.settings import sentence
from zoobench.zoo.schema import entries_of, layout_of

FORMAT: Literal["zoobench-tokens/1"] = "zoobench-tokens/1"
Dtype = Literal["float32", "float16", "bfloat16"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$", max_length=200)]


class Splits(BaseModel):
    """Checkpoints in each split, in the order in which they stand in the file."""

    model_config = ConfigDict(strict=True)

    train: NonNegativeInt
    val: NonNegativeInt
    test: NonNegativeInt

    @property
    def counts(self) -> tuple[int, ...]:
        return self.train, self.val, self.test


class PopulationCard(BaseModel):
    """A population: its file is `<name>.parquet`, with that many `bytes`."""

    model_config = ConfigDict(strict=True)

    name: Name
    entries: list[tuple[str, list[NonNegativeInt]]]
    splits: Splits
    bytes: PositiveInt

    @classmethod
    def of(cls, name: str, layout: Layout, splits: tuple[int, ...], size: int) -> PopulationCard:
        train, val, test = splits
        entries = [(entry, shape) for entry, shape in entries_of(layout)]
        return cls(name=name, entries=entries, splits=Splits(train=train, val=val, test=test), bytes=size)

    @property
    def layout(self) -> Layout:
        return layout_of([list(entry) for entry in self.entries])

    @property
    def file(self) -> str:
        return f"{self.name}.parquet"


class SelectionCard(BaseModel):
    """Which checkpoints of which zoos these are, and the seed that split their models."""

    model_config = ConfigDict(strict=True)

    zoos: list[str]
    statuses: list[str]
    first_epoch: NonNegativeInt
    split_seed: int


class TokenCard(BaseModel):
    """The card; unknown fields are ignored, as the rules of compatibility ask."""

    model_config = ConfigDict(strict=True)

    format: Literal["zoobench-tokens/1"] = FORMAT
    token_size: PositiveInt
    batch_norm: bool
    dtype: Dtype
    selection: SelectionCard
    populations: list[PopulationCard]
    versions: dict[str, str]

    @model_validator(mode="after")
    def _names_differ(self) -> TokenCard:
        if len({population.name for population in self.populations}) != len(self.populations):
            raise ValueError("two populations have the same name")
        return self


def read_card(path: Path) -> TokenCard:
    """The card of the token set at `path`. Raises `InputError` if it is missing, damaged, or of another version."""
    if not (path / "tokens.json").is_file():
        raise InputError(
            f"there is no tokens.json in {path}; make a token set with 'zoobench tokens build --out {path}'"
        )
    card = read_json(path / "tokens.json", "the card of the token set")
    if card.get("format") != FORMAT:
        raise InputError(f"{path} is in format {card.get('format')!r}, and this zoobench reads {FORMAT!r}")
    try:
        return TokenCard.model_validate_json((path / "tokens.json").read_text())
    except ValidationError as error:
        raise InputError(
            f"the card {path}/tokens.json is damaged ({sentence(error)}); make the token set again"
        ) from None
