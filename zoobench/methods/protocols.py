"""What a task may ask of a method. A task names the protocol it needs; a method implements those it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.progress import Step
from zoobench.methods.victims import Victims
from zoobench.populations import Population, TokenSet
from zoobench.populations.target import Target


class InapplicableError(InputError):
    """A method cannot do what a task asks in this setting, whatever the models are. This is not a failure: the setting
    is left out of the results."""


@dataclass(frozen=True)
class Execution:
    """Where a method is fitted, and what it reports and keeps meanwhile. This does not change what is learned.

    device: `auto`, `cpu` or `cuda`; workers: processes that share each step, over Ray; ray_address: a running cluster;
    scratch: a folder where an interrupted fit keeps its state; log_dir: a folder for losses in TensorBoard's format;
    wandb: a Weights & Biases project for losses; report: called now and then with steps done, steps in all, and losses
    by name.
    """

    device: str = "auto"
    workers: int = 1
    ray_address: str | None = None
    scratch: Path | None = None
    log_dir: Path | None = None
    wandb: str | None = None
    report: Step | None = None


HERE = Execution()
"""In this process, on a GPU if there is one."""


@runtime_checkable
class Movable(Protocol):
    """A fitted method that can compute on another device than the CPU, where `load` leaves it."""

    def to(self, device: str) -> object:
        """Compute on that device from now on."""
        ...


def moved(model: Any, device: str) -> Any:
    """The fitted method, which computes on the device `cpu` or `cuda` if it can."""
    if isinstance(model, Movable):
        model.to(device)
    return model


@runtime_checkable
class Embedder(Protocol):
    """Turns checkpoints into vectors."""

    def embed(self, population: Population) -> Tensor:
        """Features [checkpoints, features], float32, one row per checkpoint."""
        ...


@runtime_checkable
class Comparable(Protocol):
    """An embedder that knows which populations' features mean the same, without having been fitted to any."""

    def check_comparable(self, populations: Sequence[Population]) -> None:
        """Raises `InapplicableError` unless one reader can read the features of all of them, of one or more."""
        ...


@runtime_checkable
class LayerEmbedder(Protocol):
    """Turns each layer of a checkpoint into a vector."""

    def embed_layers(self, population: Population) -> Tensor:
        """Features [checkpoints, layers, features], float32; layers as in `population.tokenizer.layers`."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Predicts properties of checkpoints itself, instead of leaving that to a linear probe on an embedding."""

    def predict(
        self, known: Sequence[Population], values: NDArray[Any], asked: Population
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """Predict a property of the checkpoints `asked`, from its `values` for the `known` ones.

        values: one per known checkpoint, in the order of the populations, float64, or strings if the property is a
        class. Returns one value of that type per asked checkpoint. Tables of the populations say what the models are,
        but nothing that was measured.
        """
        ...


@runtime_checkable
class TablePredictor(Protocol):
    """Predicts properties of checkpoints from how they were trained, and never sees weights: a floor for others."""

    def predict_from(
        self, known: pd.DataFrame, values: NDArray[Any], asked: pd.DataFrame
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """Predict a property of the checkpoints `asked`, from its `values` for the `known` ones.

        known, asked: one row per checkpoint; hyperparameters, epoch, architecture, dataset and split, without the
        property itself. Values and answer are as in `Predictor.predict`.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """Makes new weights."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New flat weights [count, D], or fewer, for the population that the anchors belong to."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """Encodes checkpoints, and decodes them again."""

    def reconstruct(self, population: Population) -> Tensor:
        """Flat weights [checkpoints, D]: one model per checkpoint, ideally the same function."""
        ...


@runtime_checkable
class Merger(Protocol):
    """Makes one model of several, for many groups of models at once."""

    def merge(self, models: Population, groups: Tensor, bases: Tensor | None, seed: int) -> Tensor:
        """Flat weights [groups, D], one model per group.

        models: of one layout; each row of the table says on which images its model was trained, and `models.evidence`
        gives these. groups: rows of the models, int64 [groups, models per group]. bases: the weights [groups, D] that
        all models of a group were trained from, None if they have none in common. Raises `InapplicableError` if it
        needs a base and has none.
        """
        ...


@runtime_checkable
class Transferrer(Protocol):
    """Teaches trained models, the students, what other trained models know, of any architecture with their classes."""

    def transfer(self, students: Population, teachers: Sequence[Population], taught: Tensor, seed: int) -> Tensor:
        """Flat weights [students, D] of the students after.

        A model that has several teachers one at a time is several students. teachers: populations, each with the images
        of its models' size, which are the same images in the same order; taught: int64 [students, teachers of each],
        the numbers of each student's teachers, counted through all populations. `students.evidence` and the teachers'
        give the images that may be seen, of the splits `train` and `val`.
        """
        ...


@dataclass(frozen=True, eq=False)
class Grown:
    """Large models before their training.

    weights: [models, D] float32; gigaflops: 10⁹ floating-point operations that were spent on each, [models] or one
    number for all. Those of products and convolutions with images count, a multiplication and an addition as two.
    """

    weights: Tensor
    gigaflops: Tensor | float = 0.0

    def __len__(self) -> int:
        return len(self.weights)


@runtime_checkable
class Grower(Protocol):
    """Makes larger models of small trained ones, to be trained further."""

    def grow(self, small: Population, target: Target, seed: int) -> Grown:
        """A model of the target for each small one.

        small: of one layout and activation; `small.evidence` gives the images that may be seen, which are the target's
        too; target: without models; of more units or layers. Raises `InapplicableError` if it cannot grow such models.
        """
        ...


@dataclass(frozen=True, eq=False)
class ValueNetworks:
    """Networks whose logits are added to those of trained models, and others that are subtracted, one of each for each
    of some bases.

    added: weights [bases, D'] of networks like the bases that see planes, see `zoobench.populations.planes`: the image
    and, beside it, for each class a plane of the base's probability. subtracted: weights [bases, D] of networks that
    see the image alone; None for nothing.
    """

    added: Tensor
    subtracted: Tensor | None = None

    def __len__(self) -> int:
        return len(self.added)


@runtime_checkable
class ValueLearner(Protocol):
    """Learns what to add to the logits of trained models, the bases, which stay as they are, on images that these were
    not trained on."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        """A network for each base, which is then plugged into others as well.

        `bases.evidence` gives the images to learn, of the splits `train` and `val`, with their labels, as the bases see
        them.
        """
        ...


@runtime_checkable
class Attributor(Protocol):
    """Says how much each training image contributed to the outputs of models."""

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """Scores [asked images, training images] float32, in the order of `models.evidence.labelled("train")`."""
        ...


@runtime_checkable
class MembershipReader(Protocol):
    """Says which training images models saw."""

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """Scores [asked models, training images] float32, in the order of `asked.evidence.labelled("train")`: the
        higher, the likelier did the model see the image.

        asked: weights after training; known: models on other subsets of the same images, all of their checkpoints, with
        the columns that say which subsets.
        """
        ...


@runtime_checkable
class Tracer(Protocol):
    """Says which models others were trained from."""

    def trace(self, children: Population, candidates: Population) -> Tensor:
        """Scores [children, candidates] float32: the higher, the likelier is the candidate the child's parent; above 0
        if it rather is than not.

        Both share a layout, and may be the same models: what is said of a model and itself does not count.
        """
        ...


@runtime_checkable
class Extractor(Protocol):
    """Copies models that it can ask, but not see."""

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        """Flat weights [victims, D], a copy of each.

        bases: a model for each victim, which that may have been trained from; None if there is none. What is asked of
        the victims counts, and ends at `victims.left`.
        """
        ...


@runtime_checkable
class Samplable(Protocol):
    """A fitted method whose density has settings: it also generates for targets without models."""

    def sampler(self, target: Target, settings: Any, known: Sequence[Population]) -> Generator:
        """A generator of models of the target.

        settings: the method's `Method.sampling`, changed, None for its defaults; known: the training models that the
        method was fitted to.
        """
        ...

    def recorded(self, settings: Any, *, anchors: bool, rounds: int) -> Mapping[str, Any]:
        """The settings that a zoo of generated models records, each with its value."""
        ...


class FittedModel(Protocol):
    """What a method learned; saved as files in a folder of its own."""

    def save(self, path: Path) -> None:
        """Write to a new folder, whole or not at all."""
        ...


class Fittable(FittedModel, Protocol):
    """The class of a method: how to fit it, and how to read a saved fit."""

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: Any, execution: Execution = HERE) -> FittedModel:
        """Fit it, in one of its configurations, to the training split of a token set."""
        ...

    @classmethod
    def load(cls, path: Path) -> FittedModel:
        """Read what `save` wrote."""
        ...
