"""What a method is asked for. A task names the protocol it needs; a method implements those it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.populations import Population, TokenSet


class InapplicableError(InputError):
    """A method cannot do what it is asked in a setting, whatever the models there are; nothing went wrong.

    Such a setting is left out of what is measured.
    """


Report = Callable[[int, int, dict[str, float]], None]
"""Called now and then while fitting: steps done, steps in all, losses by name."""


@dataclass(frozen=True)
class Execution:
    """Where a method is fitted, and what is told and kept of it meanwhile: none of it changes what is learned.

    device: `auto`, `cpu`, `cuda`. workers: processes that share each step, over Ray; ray_address: a cluster that runs
    already. scratch: a folder in which a fit that is interrupted keeps what it needs to go on. log_dir: where
    TensorBoard finds the losses; wandb: the project in Weights & Biases that they go to.
    """

    device: str = "auto"
    workers: int = 1
    ray_address: str | None = None
    scratch: Path | None = None
    log_dir: Path | None = None
    wandb: str | None = None
    report: Report | None = None


HERE = Execution()
"""In this process, on whichever device there is."""


@runtime_checkable
class Embedder(Protocol):
    """Turns checkpoints into vectors."""

    def embed(self, population: Population) -> Tensor:
        """Features [checkpoints, features], float32, one row a checkpoint."""
        ...


@runtime_checkable
class LayerEmbedder(Protocol):
    """Turns each layer of a checkpoint into a vector."""

    def embed_layers(self, population: Population) -> Tensor:
        """Features [checkpoints, layers, features], float32; layers as in `population.tokenizer.layers`."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Predicts properties of checkpoints itself, where others leave that to a linear probe on their embedding."""

    def predict(
        self, known: Sequence[Population], values: NDArray[Any], asked: Population
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """A property of the checkpoints `asked` for, given that of the `known` ones, of one or several populations.

        values: [all known checkpoints], float64 or, of a property that is a class, strings; returns as many of the same
        kind as are asked for. The tables of populations hold what models are, and nothing that was measured of them.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """Makes new weights."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New flat weights [count, D] for the population that the anchors are of."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """Encodes checkpoints, and decodes them again."""

    def reconstruct(self, population: Population) -> Tensor:
        """Flat weights [checkpoints, D], one model a checkpoint, which are to be the same functions."""
        ...


class Learned(Protocol):
    """A method that is fitted to a token set and kept as safetensors and JSON."""

    def save(self, path: Path) -> None:
        """Write to a directory, whole or not at all."""
        ...


class Fit(Protocol):
    """Fits a method, as one of its configurations says, to the training split of a token set."""

    def __call__(self, tokens: TokenSet, seed: int, config: Any, execution: Execution = HERE) -> Learned: ...


class Fitted(Learned, Protocol):
    """The class of a method: how it is fitted, and how what it saved is read."""

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: Any, execution: Execution = HERE) -> Learned: ...

    @classmethod
    def load(cls, path: Path) -> Learned: ...
