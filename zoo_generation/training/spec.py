"""The spec of a zoo: a `ZooSpec` is a grid that expands to an ordered list of `ModelSpec`s."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.registry import ACTIVATIONS, INITIALIZATIONS
from zoo_generation.registry import Registry
from zoo_generation.settings import as_tuple, read_fields, sentence
from zoo_generation.training.presets import preset_names, preset_path

if TYPE_CHECKING:
    from zoo_generation.networks.architectures import Architecture


def _of(registry: Registry[Any]) -> Callable[[str], str]:
    """Checks that a name is registered."""

    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"known are {', '.join(registry)}")
        return name

    return check


Activation = Annotated[str, AfterValidator(_of(ACTIVATIONS))]
Init = Annotated[str, AfterValidator(_of(INITIALIZATIONS))]
Precision = Literal["bfloat16"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "onecycle"]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Epoch = Annotated[int, Field(ge=0, le=1_000_000)]
Epochs = Annotated[int, Field(gt=0, le=1_000_000)]
Width = Annotated[float, Field(gt=0, le=100)]
ImageSize = Annotated[int, Field(gt=0, le=1024)]  # pixels per side
Channels = Literal[1, 3]  # grey or RGB
Count = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range of every generator of random numbers

MOST_MODELS = 100_000  # of a zoo
MOST_CHECKPOINTS = 10_000_000

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

OF_THE_ZOO = {"name", "datasets", "seed", "fixed_seeds", "shared_order", "per_dataset"}
"""Fields of a zoo as a whole, which no dataset overrides."""


ADDED = {"channels", "precision"}
"""Fields that the first zoos did not have; where they are None, they are not written."""


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
    """Seed of the order of the images; None means the model's own seed."""
    channels: Channels | None = None
    """Channels that the images are converted to; None means the dataset's own."""
    precision: Precision | None = None
    """Of convolutions and matrix products in training on a GPU; None means float32, as always on a CPU."""

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: a hash of every field that is set, the same on every machine."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class ZooSpec(BaseModel):
    """A grid: every field given as a list is varied, and `seeds` seeds are trained for each combination.

    With `fixed_seeds` the same seeds (`seed`, `seed` + 1, …) serve every combination (a *fix* zoo); without,
    every model has a seed of its own (a *rand* zoo). With `shared_order` all models see the same images in the same
    order, which trains a little faster. `channels` converts images to grey (1) or RGB (3). `precision` is that of
    convolutions and matrix products in training on a GPU, float32 if None. `per_dataset` holds, by dataset, the fields
    that differ for it. Source: Schürholt et al., arXiv 2209.14764, section 3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=200)] | None = None
    datasets: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    architectures: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ("cnn_s",)
    width: Annotated[tuple[Width, ...], BeforeValidator(as_tuple)] = (1.0,)
    image_size: ImageSize | None = None
    channels: Channels | None = None
    precision: Precision | None = None
    activation: Annotated[tuple[Activation, ...], BeforeValidator(as_tuple)] = ("tanh",)
    init: Annotated[tuple[Init, ...], BeforeValidator(as_tuple)] = ("kaiming_uniform",)
    optimizer: Annotated[tuple[Optimizer, ...], BeforeValidator(as_tuple)] = ("adam",)
    learning_rate: Annotated[tuple[Rate, ...], BeforeValidator(as_tuple)] = (3e-4, 1e-3, 3e-3)
    weight_decay: Annotated[tuple[Decay, ...], BeforeValidator(as_tuple)] = (0.0,)
    dropout: Annotated[tuple[Dropout, ...], BeforeValidator(as_tuple)] = (0.0,)
    batch_size: Annotated[tuple[Count, ...], BeforeValidator(as_tuple)] = (32,)
    schedule: Annotated[tuple[Schedule, ...], BeforeValidator(as_tuple)] = ("constant",)
    augment: bool = False
    seeds: Count = 16
    seed: Seed = 0
    fixed_seeds: bool = False
    shared_order: bool = False
    epochs: Epochs = 6
    checkpoint_epochs: tuple[Epoch, ...] | None = None
    train_images: Count | None = 6000
    per_dataset: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _checkpoints_within_epochs(self) -> ZooSpec:
        if self.checkpoint_epochs is not None:
            late = [epoch for epoch in self.checkpoint_epochs if epoch > self.epochs]
            if late or not self.checkpoint_epochs:
                raise ValueError(f"checkpoint_epochs must name epochs from 0 to epochs={self.epochs}")
        return self

    @model_validator(mode="after")
    def _datasets_are_specs(self) -> ZooSpec:
        for dataset, fields in self.per_dataset.items():
            if fixed := OF_THE_ZOO & fields.keys():
                raise ValueError(f"per_dataset of '{dataset}' cannot set {', '.join(sorted(fixed))}")
            try:
                self.of_dataset(dataset)
            except ValidationError as error:
                raise ValueError(f"per_dataset of '{dataset}': {_problem(error)}") from None
        return self

    @model_validator(mode="after")
    def _fits(self) -> ZooSpec:
        grids = [self.of_dataset(name) if name in self.per_dataset else self for name in self.datasets]
        models = [
            math.prod(len(getattr(grid, axis)) for axis in ("architectures", *AXES)) * grid.seeds for grid in grids
        ]
        kept = sum(
            count * len(grid.checkpoint_epochs or range(grid.epochs)) for count, grid in zip(models, grids, strict=True)
        )
        for what, count, most in (("models", sum(models), MOST_MODELS), ("checkpoints", kept, MOST_CHECKPOINTS)):
            if count > most:
                raise ValueError(
                    f"the grid has {count:.6g} {what}, but a zoo holds at most {most:,}; lower seeds, vary less, or "
                    "keep fewer checkpoint_epochs"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that cards of zoos from before there were `ADDED` fields are those of the same spec."""
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if value is not None or name not in ADDED}

    def of_dataset(self, dataset: str) -> ZooSpec:
        """The grid of one dataset."""
        fields = self.model_dump() | self.per_dataset.get(dataset, {})
        return ZooSpec(**fields | {"datasets": (dataset,), "per_dataset": {}})

    def user_architectures(self) -> list[str]:
        """The architectures that are a user's functions, by import path, which `import_architecture` imports."""
        grids = [self.of_dataset(dataset) for dataset in self.datasets]
        return sorted({name for grid in grids for name in grid.architectures if ":" in name})

    @property
    def title(self) -> str:
        """The spec's name, or one made of its datasets and architectures."""
        return self.name or f"{'+'.join(self.datasets)}-{'+'.join(self.architectures)}".replace(":", ".")

    @property
    def saved_epochs(self) -> tuple[int, ...]:
        """Epochs at which a checkpoint is kept: the requested ones, or every one after training began."""
        return tuple(sorted(set(self.checkpoint_epochs or range(1, self.epochs + 1))))

    def models(self) -> list[ModelSpec]:
        """Every model of the grid, in a fixed order: seeds innermost, datasets outermost.

        Values that an architecture does not use (its width, its image size) are not varied for it.
        """
        numbers = itertools.count()
        models: dict[str, ModelSpec] = {}
        for dataset in self.datasets:
            for model in self.of_dataset(dataset)._grid(dataset, numbers):
                models.setdefault(model.id, model)
        return list(models.values())

    def _grid(self, dataset: str, numbers: Iterator[int]) -> Iterator[ModelSpec]:
        from zoo_generation.networks.architectures import get_architecture

        for name in self.architectures:
            architecture = get_architecture(name)
            axes = {axis: getattr(self, axis) for axis in AXES}
            if not architecture.has_width:
                axes["width"] = (1.0,)
            grid = itertools.product(*axes.values(), range(self.seeds))
            for (*values, repeat), number in zip(grid, numbers, strict=False):
                yield self._model(dataset, architecture, dict(zip(AXES, values, strict=True)), repeat, number)

    def _model(
        self, dataset: str, architecture: Architecture, fields: dict[str, Any], repeat: int, number: int
    ) -> ModelSpec:
        asked = None if architecture.fixed_image_size else self.image_size
        return ModelSpec(
            **fields,
            dataset=dataset,
            architecture=architecture.name,
            image_size=asked or architecture.image_size,
            train_images=self.train_images,
            augment=self.augment,
            epochs=self.epochs,
            checkpoint_epochs=self.saved_epochs,
            order_seed=self.seed if self.shared_order else None,
            channels=self.channels,
            precision=self.precision,
            seed=self.seed + (repeat if self.fixed_seeds else number),
        )


def make_spec(values: dict[str, Any]) -> ZooSpec:
    """A `ZooSpec` of plain values. Raises `InputError` naming the field, the given value and what is allowed."""
    try:
        return ZooSpec(**values)
    except ValidationError as error:
        raise InputError(_problem(error)) from None


def read_spec(name: str) -> dict[str, Any]:
    """The plain values of a preset, or of a spec in a YAML file. Raises `InputError` if there is neither."""
    path = preset_path(name) or Path(name)
    if not path.exists() and not path.suffix:
        raise unknown("preset", name, preset_names())
    return read_fields(path, "spec", "'datasets: [mnist]'; see zoobench build-zoo --help")


def _problem(error: ValidationError) -> str:
    return sentence(error, "spec field", ZooSpec)
