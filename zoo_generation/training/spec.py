"""The spec of a zoo: a `ZooSpec` is a grid that expands to an ordered list of `ModelSpec`s."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
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
from zoo_generation.settings import Fields, as_tuple, read_fields, sentence
from zoo_generation.training.fields import (
    Activation,
    Channels,
    Count,
    Decay,
    Dropout,
    Epoch,
    Epochs,
    Fraction,
    ImageSize,
    Init,
    Loss,
    Momentum,
    Optimizer,
    Parts,
    PartText,
    Precision,
    Rate,
    Schedule,
    Seed,
    Width,
)
from zoo_generation.training.presets import preset_names, preset_path

if TYPE_CHECKING:
    from zoo_generation.networks.architectures import Architecture


MOST_MODELS = 100_000  # of a zoo
MOST_CHECKPOINTS = 10_000_000

AXES = (
    *("width", "activation", "init", "optimizer"),
    *("learning_rate", "weight_decay", "dropout", "batch_size", "schedule"),
)
"""Hyperparameters that a grid varies, the outermost first."""

OF_THE_ZOO = {"name", "datasets", "seed", "fixed_seeds", "shared_order", "per_dataset", "landscape_epoch"}
"""Fields of a zoo as a whole, which no dataset overrides."""


ADDED = {"channels", "precision", "part", "fork", "subset_fraction", "subset_seed", "subsets", "loss", "momentum"}
ADDED |= {"landscape_epoch"}
"""Fields that the first zoos did not have; where they are None, they are not written."""

ADDED_TO_FORK = {"learning_rate", "fork"}
"""The same of forks."""


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
    part: PartText = None
    """The part of the training and validation images, as the text of a `DataPart`; None means all."""
    subset_fraction: Fraction | None = None
    """The share of the training images that the model sees, drawn at random; None means all."""
    subset_seed: Seed | None = None
    """The seed of this subset, see `subset_rows`."""
    parent: str | None = None
    """The id of the model whose weights training starts from; None means the initialization."""
    parent_epoch: Epoch | None = None
    """The epoch after which it has these weights."""
    loss: Loss | None = None
    """What training minimises; None means the cross-entropy."""
    momentum: Momentum | None = None
    """Of SGD; None means 0.9."""

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: a hash of every field that is set, the same on every machine."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Fork(Fields):
    """Children of every model of a grid, their trunk: models that are trained on from its weights after an epoch.

    after: epochs of the trunk, of which 0 is its initialization; part: the children's parts of the images, as in
    `ZooSpec`, None for the trunk's own; seeds: children for each of these, which differ in the order of images and in
    what is drawn; epochs: of each child, None for as many as the trunk's; checkpoint_epochs: at which a checkpoint is
    kept, counted from the fork, None for every one; learning_rate: the children's, None for the trunk's own; fork: of
    the children in turn. The optimizer and the schedule of the learning rate begin anew. Source: Frankle et al., arXiv
    1912.05671, section 2.
    """

    after: Annotated[tuple[Epoch, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    part: Parts = None
    seeds: Count = 1
    epochs: Epochs | None = None
    checkpoint_epochs: tuple[Epoch, ...] | None = None
    learning_rate: Annotated[tuple[Rate, ...], BeforeValidator(as_tuple), Field(min_length=1)] | None = None
    fork: Fork | None = None

    def counts(self, epochs: int) -> tuple[int, int]:
        """How many descendants a trunk of so many epochs has, and how many checkpoints of its own and of theirs are
        kept for that, at most."""
        epochs = self.epochs or epochs
        children = len(self.after) * len(self.part or (None,)) * len(self.learning_rate or (None,)) * self.seeds
        below, kept = (0, 0) if self.fork is None else self.fork.counts(epochs)
        kept += len(self.checkpoint_epochs or range(epochs))
        return children * (1 + below), len(self.after) + children * kept

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _used(handler(self), ADDED_TO_FORK)


class ZooSpec(BaseModel):
    """A grid: every field given as a list is varied, and `seeds` seeds are trained for each combination.

    With `fixed_seeds` the same seeds (`seed`, `seed` + 1, …) serve every combination (a *fix* zoo); without,
    every model has a seed of its own (a *rand* zoo). With `shared_order` all models see the same images in the same
    order, which trains a little faster. `channels` converts images to grey (1) or RGB (3). `precision` is that of
    convolutions and matrix products in training on a GPU, float32 if None. `part` names parts of the training and
    validation images, each as the text or the fields of a `DataPart`, None for all; models are trained on each.
    `subset_fraction` is the share of the training images that a model sees: `subsets` different random subsets (one if
    None), on each of which `seeds` models are trained. Subsets are numbered from `seed` + `subset_seed` (0 if None) on,
    and so are models' seeds, so that zoos of one `seed` share neither if their numbers lie apart. `fork` makes children
    of every model. With the `loss` `mse` networks have one output, for the number that stands for an image's class.
    `momentum` is SGD's, 0.9 if None. With `landscape_epoch` the loss landscape around models after that epoch is
    measured once all are trained, and a checkpoint is kept there. `per_dataset` holds, by dataset, the fields that
    differ for it. Source: Schürholt et al., arXiv 2209.14764, section 3.
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
    part: Parts = None
    subset_fraction: Fraction | None = None
    subset_seed: Seed | None = None
    subsets: Count | None = None
    fork: Fork | None = None
    loss: Loss | None = None
    momentum: Momentum | None = None
    landscape_epoch: Epoch | None = None
    per_dataset: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _checkpoints_within_epochs(self) -> ZooSpec:
        named = {"checkpoint_epochs": (self.checkpoint_epochs, self.epochs)}
        if self.landscape_epoch is not None:
            named["landscape_epoch"] = ((self.landscape_epoch,), self.epochs)
        fork, name, trained = self.fork, "fork", self.epochs
        while fork is not None:
            named[f"{name}.after"], trained = (fork.after, trained), fork.epochs or trained
            named[f"{name}.checkpoint_epochs"] = (fork.checkpoint_epochs, trained)
            fork, name = fork.fork, f"{name}.fork"
        for field, (epochs, last) in named.items():
            if epochs is not None and not 0 < len(epochs) == sum(epoch <= last for epoch in epochs):
                raise ValueError(f"{field} must name epochs from 0 to epochs={last}")
        return self

    @model_validator(mode="after")
    def _has_subsets_or_not(self) -> ZooSpec:
        if self.subset_fraction is None:
            if self.subset_seed is not None or self.subsets is not None:
                raise ValueError("subset_seed and subsets say which subsets; give a subset_fraction too")
        elif self.shared_order:
            raise ValueError("models on different subsets cannot have a shared_order; leave one of the two out")
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
        models, kept = (sum(counts) for counts in zip(*(grid._counts() for grid in grids), strict=True))
        for what, count, most in (("models", models, MOST_MODELS), ("checkpoints", kept, MOST_CHECKPOINTS)):
            if count > most:
                raise ValueError(
                    f"the grid has {count:.6g} {what}, but a zoo holds at most {most:,}; lower seeds, vary less, or "
                    "keep fewer checkpoint_epochs"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that cards of zoos from before there were `ADDED` fields are those of the same spec."""
        return _used(handler(self), ADDED)

    def _counts(self) -> tuple[int, int]:
        """How many models and checkpoints the grid of one dataset has at most."""
        trunks = math.prod(len(getattr(self, axis)) for axis in ("architectures", *AXES)) * self.seeds
        trunks *= len(self.part or (None,)) * (self.subsets or 1)
        kept = len(self.checkpoint_epochs or range(self.epochs))
        descendants, besides = (0, 0) if self.fork is None else self.fork.counts(self.epochs)
        return trunks * (1 + descendants), trunks * (kept + besides)

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
        """Epochs at which a checkpoint is kept: the requested ones, or every one after training began; and those after
        which children are made or the landscape is measured."""
        besides = self.fork.after if self.fork else ()
        besides += () if self.landscape_epoch is None else (self.landscape_epoch,)
        return _saved(self.checkpoint_epochs, self.epochs, besides)

    def models(self) -> list[ModelSpec]:
        """Every model of the grid, in a fixed order: seeds innermost, datasets outermost; and then all descendants,
        each before its own.

        Values that an architecture does not use (its width, its image size) are not varied for it.
        """
        numbers = itertools.count(self.subset_seed or 0)
        grids = {dataset: self.of_dataset(dataset) for dataset in self.datasets}
        trunks = [model for dataset in self.datasets for model in grids[dataset]._grid(dataset, numbers)]
        seeds = max(model.seed for model in trunks) + 1 - self.seed
        children = (each for trunk in trunks for each in _descendants(trunk, grids[trunk.dataset].fork, seeds))
        return list({model.id: model for model in (*trunks, *children)}.values())

    def _grid(self, dataset: str, numbers: Iterator[int]) -> Iterator[ModelSpec]:
        from zoo_generation.networks.architectures import get_architecture

        for name in self.architectures:
            architecture = get_architecture(name)
            axes = {axis: getattr(self, axis) for axis in AXES} | {"part": self.part or (None,)}
            axes["subset_seed"] = self._subset_seeds
            if not architecture.has_width:
                axes["width"] = (1.0,)
            grid = itertools.product(*axes.values(), range(self.seeds))
            for (*values, repeat), number in zip(grid, numbers, strict=False):
                yield self._model(dataset, architecture, dict(zip(axes, values, strict=True)), repeat, number)

    @property
    def _subset_seeds(self) -> tuple[int, ...] | tuple[None]:
        """The seed of each subset; one None if models see all images."""
        first = self.seed + (self.subset_seed or 0)
        return (None,) if self.subset_fraction is None else tuple(range(first, first + (self.subsets or 1)))

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
            loss=self.loss,
            momentum=self.momentum,
            subset_fraction=self.subset_fraction,
            seed=self.seed + (repeat if self.fixed_seeds else number),
        )


def _descendants(trunk: ModelSpec, fork: Fork | None, seeds: int) -> Iterator[ModelSpec]:
    """A trunk's children, each before its own. seeds: how many there are from the zoo's up, all of which trunks may
    have."""
    if fork is None:
        return
    epochs, besides = fork.epochs or trunk.epochs, fork.fork.after if fork.fork else ()
    rates, parts = fork.learning_rate or (trunk.learning_rate,), fork.part or (trunk.part,)
    for after, part, rate, number in itertools.product(fork.after, parts, rates, range(1, fork.seeds + 1)):
        own = {
            "part": part,
            "learning_rate": rate,
            "parent": trunk.id,
            "parent_epoch": after,
            "epochs": epochs,
            "checkpoint_epochs": _saved(fork.checkpoint_epochs, epochs, besides),
            "seed": trunk.seed + number * seeds,
            "order_seed": None if trunk.order_seed is None else trunk.order_seed + number,
        }
        child = ModelSpec(**trunk.model_dump() | own)
        yield child
        yield from _descendants(child, fork.fork, seeds * (fork.seeds + 1))


def _used(fields: dict[str, Any], added: set[str]) -> dict[str, Any]:
    """The fields without those added later that are None."""
    return {name: value for name, value in fields.items() if value is not None or name not in added}


def _saved(chosen: tuple[int, ...] | None, epochs: int, besides: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Epochs at which a checkpoint is kept, ascending: the chosen ones, or all from 1 on, and those besides."""
    return tuple(sorted({*(chosen or range(1, epochs + 1)), *besides}))


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
