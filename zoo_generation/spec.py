"""What a zoo is made of: a `ZooSpec` is a grid that expands to an ordered list of `ModelSpec`s."""

from __future__ import annotations

import hashlib
import itertools
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from zoo_generation.errors import InputError

Activation = Literal["tanh", "relu", "gelu", "sigmoid"]
Init = Literal["uniform", "normal", "kaiming_uniform", "kaiming_normal"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "onecycle"]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Epoch = Annotated[int, Field(ge=0)]


AXES = (
    "width",
    "activation",
    "init",
    "optimizer",
    "learning_rate",
    "weight_decay",
    "dropout",
    "batch_size",
    "schedule",
)
"""Hyperparameters that a grid varies, the outermost first."""


class ModelSpec(BaseModel):
    """Everything that determines one trained model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    train_images: PositiveInt | None
    architecture: str
    width: Rate
    image_size: PositiveInt
    activation: Activation
    init: Init
    optimizer: Optimizer
    learning_rate: Rate
    weight_decay: Decay
    dropout: Dropout
    batch_size: PositiveInt
    schedule: Schedule
    augment: bool
    epochs: PositiveInt
    checkpoint_epochs: tuple[Epoch, ...]
    seed: int
    order_seed: int | None = None
    """Decides the order of the images; the model's own seed where there is none."""

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: a hash of every field that is set, the same on every machine."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class ZooSpec(BaseModel):
    """A grid: every field given as a list is varied, and `seeds` seeds are trained of each combination.

    With `fixed_seeds` the same seeds (`seed`, `seed` + 1, …) serve every combination (a *fix* zoo); without,
    every model has a seed of its own (a *rand* zoo). With `shared_order` all models see the same images in the same
    order, which trains a little faster. Source: Schürholt et al., arXiv 2209.14764, section 3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")] | None = None
    datasets: Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    architectures: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ("cnn_s",)
    width: Annotated[tuple[Rate, ...], BeforeValidator(_as_tuple)] = (1.0,)
    image_size: PositiveInt | None = None
    activation: Annotated[tuple[Activation, ...], BeforeValidator(_as_tuple)] = ("tanh",)
    init: Annotated[tuple[Init, ...], BeforeValidator(_as_tuple)] = ("kaiming_uniform",)
    optimizer: Annotated[tuple[Optimizer, ...], BeforeValidator(_as_tuple)] = ("adam",)
    learning_rate: Annotated[tuple[Rate, ...], BeforeValidator(_as_tuple)] = (3e-4, 1e-3, 3e-3)
    weight_decay: Annotated[tuple[Decay, ...], BeforeValidator(_as_tuple)] = (0.0,)
    dropout: Annotated[tuple[Dropout, ...], BeforeValidator(_as_tuple)] = (0.0,)
    batch_size: Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_tuple)] = (32,)
    schedule: Annotated[tuple[Schedule, ...], BeforeValidator(_as_tuple)] = ("constant",)
    augment: bool = False
    seeds: PositiveInt = 16
    seed: int = 0
    fixed_seeds: bool = False
    shared_order: bool = False
    epochs: PositiveInt = 6
    checkpoint_epochs: tuple[Epoch, ...] | None = None
    train_images: PositiveInt | None = 6000

    @model_validator(mode="after")
    def _checkpoints_within_epochs(self) -> ZooSpec:
        if self.checkpoint_epochs is not None:
            late = [epoch for epoch in self.checkpoint_epochs if epoch > self.epochs]
            if late or not self.checkpoint_epochs:
                raise ValueError(f"checkpoint_epochs must name epochs from 0 to epochs={self.epochs}")
        return self

    @property
    def title(self) -> str:
        """The spec's name, or one made of its datasets and architectures."""
        return self.name or f"{'+'.join(self.datasets)}-{'+'.join(self.architectures)}"

    @property
    def saved_epochs(self) -> tuple[int, ...]:
        """Epochs at which a checkpoint is kept: those asked for, or every one after training began."""
        return tuple(sorted(set(self.checkpoint_epochs or range(1, self.epochs + 1))))

    def models(self) -> list[ModelSpec]:
        """Every model of the grid, in a fixed order: seeds innermost, datasets outermost.

        What an architecture does not vary in (its width, its image size) is not varied for it.
        """
        from zoo_generation.architectures import get_architecture

        grid = itertools.product(
            self.datasets, self.architectures, *(getattr(self, axis) for axis in AXES), range(self.seeds)
        )
        models: dict[str, ModelSpec] = {}
        for number, (dataset, name, *values, repeat) in enumerate(grid):
            architecture = get_architecture(name)
            fields: dict[str, Any] = dict(zip(AXES, values, strict=True))
            if not architecture.has_width:
                fields["width"] = 1.0
            asked = None if architecture.fixed_image_size else self.image_size
            model = ModelSpec(
                **fields,
                dataset=dataset,
                architecture=name,
                image_size=asked or architecture.image_size,
                train_images=self.train_images,
                augment=self.augment,
                epochs=self.epochs,
                checkpoint_epochs=self.saved_epochs,
                order_seed=self.seed if self.shared_order else None,
                seed=self.seed + (repeat if self.fixed_seeds else number),
            )
            models.setdefault(model.id, model)
        return list(models.values())


def make_spec(values: dict[str, Any]) -> ZooSpec:
    """A `ZooSpec` of plain values; raises `InputError` naming the field, what was given and what is allowed."""
    try:
        return ZooSpec(**values)
    except ValidationError as error:
        raise InputError(_sentence(error)) from None


def read_spec(path: Path) -> dict[str, Any]:
    """The plain values of a spec in YAML; raises `InputError` where the file cannot be read."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the spec {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the spec {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"the spec {path} must hold fields such as 'datasets: [mnist]'; see zoobench build-zoo --help")
    return values


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "the spec"
    if first["type"] == "extra_forbidden":
        from zoo_generation.errors import unknown

        return str(unknown("spec field", field, ZooSpec.model_fields))
    if first["type"] == "missing":
        return f"the spec lacks the field '{field}', which has no default"
    reason = first["msg"].removeprefix("Value error, ")
    return f"spec field '{field}' was given {first['input']!r}: {reason[0].lower()}{reason[1:]}"
