"""Base class of tasks: what a task asks of a method, how it judges the answer, and how it scores the observations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Protocol, runtime_checkable

import pandas as pd
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoobench.methods.protocols import InapplicableError as InapplicableError
from zoobench.populations import Access, Population
from zoobench.populations.target import Target
from zoobench.tasks.answers import Answer
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import Form


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that a task may read in one cell. Methods never get it.

    target: the asked population, with all splits and columns; sources: what the method may draw on, training and
    validation models only; seed: of all randomness; images: opens any split, for judging; device: `cpu`, `cuda`;
    others: the other targets that are measured along with this one, for a task that is `Partnered`.
    """

    target: Population
    sources: tuple[Population, ...] = ()
    seed: int = 0
    images: ImageStore = field(default_factory=ImageStore)
    device: str = "cpu"
    others: tuple[Population, ...] = ()


@dataclass(frozen=True)
class Work:
    """Estimated work of a cell: models that the method encodes or makes, forward passes of one model on one image, and
    further seconds."""

    models: float = 0.0
    images: float = 0.0
    seconds: float = 0.0


TEST_IMAGES = 10_000
"""The number that `Task.work` assumes: about the size of the test splits of image datasets."""


class Task(Protocol):
    """A task; its fields say how it is measured.

    Scores depend only on observations, observations only on the answer, and the answer describes itself: so a run, a
    submission and a verification judge alike.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """Raised whenever scores change their meaning: scores of different versions are not compared."""
        ...

    @property
    def summary(self) -> str:
        """What it asks, in one line."""
        ...

    @property
    def paper(self) -> str:
        """Where it comes from, as an arXiv number or URL."""
        ...

    @property
    def primary(self) -> str:
        """The metric that it ranks by; higher is better."""
        ...

    @property
    def asks(self) -> type | UnionType:
        """The protocol that a method must implement, or several, one of which it must implement."""
        ...

    @property
    def access(self) -> Access:
        """The most that a method may see of the data."""
        ...

    @property
    def uses_sources(self) -> bool:
        """Whether the task itself reads the sources, in addition to what the method learned from them."""
        ...

    def form(self, setting: Setting) -> Form:
        """The form of the answer in a setting."""
        ...

    def ask(self, method: Any, setting: Setting) -> Answer:
        """Ask the fitted method. Only tasks' `ask` calls methods.

        Raises `InapplicableError` if the method cannot answer in this setting.
        """
        ...

    def judge(self, answer: Any, setting: Setting) -> pd.DataFrame:
        """Observations: rows with columns of the task's own; the column `model` names the model of each.

        Reads from the setting the target, the seed, the images and the device.
        """
        ...

    def score(self, observations: pd.DataFrame) -> Mapping[str, Estimate]:
        """Estimates by metric."""
        ...

    def reads(self, target: Population) -> Population:
        """The checkpoints of a target that judging reads; it needs no others."""
        ...

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Estimated work of a cell, for a target of that many checkpoints and training images."""
        ...


@runtime_checkable
class Partnered(Protocol):
    """A task that reads models of other targets too."""

    def partners(self, setting: Setting) -> list[Population]:
        """Those of `setting.others` whose models it reads."""
        ...


@runtime_checkable
class Combining(Protocol):
    """A task that asks for models that are made of trained ones, and may be close to these."""

    def members(self, setting: Setting) -> list[list[str]]:
        """For each model of the answer the names, see `Population.names`, of the models that it is made of: one of the
        target's first, and others."""
        ...

    def given(self, target: Population) -> Population:
        """The target's models that others are made of, and of them what a method sees."""
        ...

    def bases(self, setting: Setting) -> Tensor | None:
        """The weights [models, D] that all members of a model were trained from; None if a method does not get any."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """A task that asks for scores of pairs of models, those in rows with those in columns."""

    def compared(self, setting: Setting) -> tuple[Population, Population]:
        """The models in rows and those in columns, in the order of the form, as a method sees them."""
        ...


@runtime_checkable
class Extracting(Protocol):
    """A task that asks for copies of models that answer to images, and are not shown."""

    def victims_of(self, target: Population) -> Population:
        """The models to copy, in the order of their numbers."""
        ...

    def copies(self, setting: Setting) -> pd.DataFrame:
        """One row for each model of the answer: told, what its victim tells; base, which model is given for it, or
        `none`; budget, of queries; victim, its number; left, queries that may be made."""
        ...

    def bases_of(self, setting: Setting) -> list[Population | None]:
        """A base of each victim, None for none, for each of the answer's runs of models of all victims."""
        ...


@runtime_checkable
class AboutImages(Protocol):
    """A task whose answers are about images, and about no model: models that nobody has seen can judge them too."""

    def asked(self, setting: Setting) -> tuple[Tensor, Images]:
        """The numbers of the asked test images in the test split, ascending, and these images with their labels."""
        ...


@runtime_checkable
class Enlarging(Protocol):
    """A task that asks for models of another network than the target's."""

    def enlarged(self, target: Population) -> Target:
        """The network of the answer's models."""
        ...


@runtime_checkable
class Anchored(Protocol):
    """A task that gives methods anchors: some of the target's models, to generate others around."""

    def anchors_of(self, target: Population) -> Population:
        """The anchors, in the order of the target."""
        ...
