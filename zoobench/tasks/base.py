"""What a task is: what it asks of a method, how it judges the answer, and how that is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Protocol

import pandas as pd

from zoo_generation.data.load import ImageStore
from zoobench.methods.protocols import InapplicableError as InapplicableError
from zoobench.populations import Access, Population
from zoobench.tasks.answers import Answer
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import Form


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that a task may read in one cell. A method never holds one.

    target: the population that is asked about, all splits and columns; sources: what the method may draw on, training
    and validation models only; seed: of everything random; images: opens any split, for judging; device: `cpu`, `cuda`.
    """

    target: Population
    sources: tuple[Population, ...] = ()
    seed: int = 0
    images: ImageStore = field(default_factory=ImageStore)
    device: str = "cpu"


@dataclass(frozen=True)
class Work:
    """About what a cell takes: models that the method encodes or makes, forward passes of one model on one image, and
    seconds besides."""

    models: float = 0.0
    images: float = 0.0
    seconds: float = 0.0


TEST_IMAGES = 10_000
"""That `Task.work` reckons with: about as many as the test splits of image datasets have."""


class Task(Protocol):
    """A task, whose fields say how it is measured.

    Scores depend on observations alone, these on the answer alone, and the answer describes itself: so a run, a
    submission and a verification judge alike.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """Another number whenever scores change their meaning: those of other versions are not compared."""
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
        """The protocol that a method must implement, or several of which it needs one."""
        ...

    @property
    def access(self) -> Access:
        """The most that a method may see of the data."""
        ...

    @property
    def uses_sources(self) -> bool:
        """Whether the task itself reads the sources, besides what the method learned of them."""
        ...

    def form(self, setting: Setting) -> Form:
        """What is to be answered in a setting."""
        ...

    def ask(self, method: Any, setting: Setting) -> Answer:
        """Ask the fitted method. These are the only lines that call one.

        Raises `InapplicableError` if that cannot be in such a setting.
        """
        ...

    def judge(self, answer: Any, setting: Setting) -> pd.DataFrame:
        """Observations: rows of columns that are the task's own; one of them, `model`, says of which model.

        Of a setting it reads the target, the seed, the images and the device.
        """
        ...

    def score(self, observations: pd.DataFrame) -> Mapping[str, Estimate]:
        """Estimates by metric."""
        ...

    def reads(self, target: Population) -> Population:
        """The checkpoints of a target that judging reads: it needs no others."""
        ...

    def work(self, checkpoints: int, train_images: int) -> Work:
        """About what a cell takes, for a target of so many checkpoints, whose training split has so many images."""
        ...
