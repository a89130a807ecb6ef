"""Types of the fields of specs: which values each takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from zoo_generation.networks.registry import ACTIVATIONS, INITIALIZATIONS
from zoo_generation.registry import Registry
from zoo_generation.settings import as_tuple


def _of(registry: Registry[Any]) -> Callable[[str], str]:
    """Checks that a name is registered."""

    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"known are {', '.join(registry)}")
        return name

    return check


def _part_text(value: Any) -> str | None:
    """The text of a part of the images, of its text or its fields."""
    from zoo_generation.data.part import DataPart

    return None if value is None else str(DataPart.read(value))


def _parts(value: Any) -> Any:
    return value if value is None else tuple(map(_part_text, as_tuple(value)))


Activation = Annotated[str, AfterValidator(_of(ACTIVATIONS))]
Init = Annotated[str, AfterValidator(_of(INITIALIZATIONS))]
Precision = Literal["bfloat16"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "onecycle"]
Loss = Literal["mse"]  # mean squared error
Momentum = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Epoch = Annotated[int, Field(ge=0, le=1_000_000)]
Epochs = Annotated[int, Field(gt=0, le=1_000_000)]
Width = Annotated[float, Field(gt=0, le=100)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
ImageSize = Annotated[int, Field(gt=0, le=1024)]  # pixels per side
Channels = Literal[1, 3]  # grey or RGB
PartText = Annotated[str | None, BeforeValidator(_part_text)]
Parts = Annotated[Annotated[tuple[str | None, ...], Field(min_length=1)] | None, BeforeValidator(_parts)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range of every generator of random numbers
