"""The card of a zoo, `zoo.json`: its required fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator

from zoo_generation.names import ALLOWED, is_file_name
from zoo_generation.settings import sentences
from zoo_generation.training.spec import make_spec
from zoobench.zoo.schema import FORMAT


def _safe(name: str) -> str:
    if not is_file_name(name):
        raise ValueError(f"it is not a safe file name: {ALLOWED}")
    return name


class Card(BaseModel):
    """The card of a zoo; unknown fields are ignored."""

    model_config = ConfigDict(strict=True)

    format: str
    name: Annotated[str, AfterValidator(_safe)]
    built: AwareDatetime
    zoobench: str
    torch: str
    hardware: str
    spec: dict[str, Any]
    """What `zoobench build-zoo` trains; empty if another program or an import made the zoo."""

    @field_validator("format")
    @classmethod
    def _is_ours(cls, value: str) -> str:
        if value != FORMAT:
            raise ValueError(f"this zoobench reads {FORMAT!r}; update zoobench")
        return value

    @field_validator("spec")
    @classmethod
    def _is_a_spec(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value:
            make_spec(value)
        return value


def card_of(content: bytes) -> tuple[Card | None, list[str]]:
    """The card in a file's content, None if anything is wrong; and the problems, one clause each."""
    try:
        return Card.model_validate_json(content), []
    except ValidationError as error:
        return None, sentences(error)
