"""Probing as a method: with learned probes, or with random ones as their control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from zoobench.methods.learning import seeded
from zoobench.methods.learning.bounds import check_at_least, check_below_one
from zoobench.methods.probegen.answers import Answers
from zoobench.methods.probegen.model import ProbeReader, Sides, squashed
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.supervised import Readable, ReaderConfig, Supervised
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population

ELEMENTS = 2**28  # of all layers' outputs in a step of training, a gibibyte
MODELS = 256  # at once, without training
COARSEST = 4  # pixels of a random probe before it is enlarged


@dataclass(frozen=True)
class ProbeGenConfig(ReaderConfig):
    """How probes and reader are trained, see `ReaderConfig`; and probes: their number; code: numbers that each is made
    of; channels: of the generator; width, layers: of the perceptron that reads answers; dropout: share of answers
    hidden from it in a step.
    """

    probes: int = 32
    code: int = 32
    channels: int = 16
    width: int = 128
    layers: int = 3
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "probes", "code", "channels", "layers")
        check_at_least(self, 2, "batch_size")  # answers are standardized over it
        check_below_one(self, "dropout")


class ProbeGen(Supervised[ProbeGenConfig, Sides]):
    """Embeds models by what a perceptron makes of their answers to learned probes, whatever their architecture."""

    name: ClassVar[str] = "probegen"
    config_type: ClassVar[type] = ProbeGenConfig
    shape_type: ClassVar[type] = Sides
    network: ProbeReader

    @classmethod
    def shape_of(cls, populations: Sequence[Population], config: ProbeGenConfig) -> Sides:
        first = sides_of(populations[0])
        for each in populations:
            _check(each, first, cls.name)
        return first

    def build(self) -> ProbeReader:
        c = self.config
        return ProbeReader(self.shape, c.probes, c.code, c.channels, c.width, c.layers, c.dropout)

    def readable(self, population: Population, device: str) -> Readable:
        _check(population, self.shape, self.name)
        answers = Answers(population, device, self.name)
        most = max(2, ELEMENTS // (self.config.probes * answers.elements))
        return Readable(lambda rows: self.network(answers(rows, self.network.generator())), min(MODELS, most))


@dataclass(frozen=True)
class RandomProbes(Unlearned):
    """Embeds models by their answers to random images: what learned probes must beat.

    probes: number of images; seed: that of the fit.
    """

    probes: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, 1, "probes")

    def check_comparable(self, populations: Sequence[Population]) -> None:
        """Raises `InapplicableError` for other images or classes: their models answer other noise."""
        for each in populations:
            _check(each, sides_of(populations[0]), "random_probes")

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, probes · classes]: outputs, large ones squashed to their logarithms."""
        answers = Answers(population, "cpu", "random_probes")
        images = random_images(sides_of(population), self.probes, self.seed)
        with torch.no_grad():
            found = [answers(rows, images) for rows in torch.arange(len(population)).split(MODELS)]
        return squashed(torch.cat(found))


def random_images(sides: Sides, count: int, seed: int) -> Tensor:
    """Images [count, channels, size, size] of noise in [-1, 1], in turn of `COARSEST` pixels a side, twice as many, and
    so on while that fits, enlarged: of 4, 8 and 16 for images of 28 pixels, and of 32 too for images of 32."""
    size, images = sides.image_size, []
    with seeded(seed):
        for number in range(count):
            side = min(size, COARSEST * 2 ** (number % max(1, (size // COARSEST).bit_length())))
            noise = 2 * torch.rand(1, sides.channels, side, side) - 1
            images.append(F.interpolate(noise, size=(size, size), mode="bilinear"))
    return torch.cat(images)


def sides_of(population: Population) -> Sides:
    """What the population's models read and answer."""
    row = population.table.iloc[0]
    return Sides(*(int(row[name]) for name in ("channels", "image_size", "classes")))


def _check(population: Population, expected: Sides, method: str) -> None:
    """Raises `InapplicableError` for models with other images or classes."""
    sides = sides_of(population)
    if sides != expected:
        raise InapplicableError(
            f"the models of {population.name} read {sides.words}, and this {method} probes models that read "
            f"{expected.words}; take zoos of one kind, or a method that reads weights"
        )
