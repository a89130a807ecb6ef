"""Data beyond weights that a method may see with a population: images, or statistics of layer inputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import AccessError, InputError
from zoo_generation.networks.module import runnable_module

if TYPE_CHECKING:
    import pandas as pd

    from zoo_generation.networks.capture import Moments
    from zoobench.populations.population import Population

ImageSplit = Literal["train", "val"]


class Access(IntEnum):
    """How much of the data a method sees besides weights; each level includes the levels below it.

    >>> Access.IMAGES > Access.STATISTICS
    True
    """

    WEIGHTS = 0
    STATISTICS = 1
    IMAGES = 2
    LABELS = 3

    @property
    def words(self) -> str:
        """As in a sentence."""
        return ("weights", "statistics of layer inputs", "images", "images with labels")[self]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The data that a method may see together with the models of a population, never with test images.

    access: the highest level that is granted; store: where images are opened from; population: whose evidence it is.
    """

    access: Access = Access.WEIGHTS
    store: ImageStore | None = None
    population: Population | None = None

    def of(self, population: Population) -> Evidence:
        """The same access, for these models."""
        return replace(self, population=population)

    def moments(self, images: int = 2000, layers: Collection[str] | None = None) -> Moments:
        """First and second moments of the inputs of each layer of each model.

        images: how many of the training split they are of, its first ones, of each model's own part; over these they
        are exact. All images are used if the split has fewer. layers: names of some weight layers, None for all.
        Raises `AccessError` below `Access.STATISTICS`, `InputError` for less than 1 image.
        """
        from zoo_generation.networks.capture import Moments, moments

        self._check(Access.STATISTICS, "train")
        if images < 1:
            raise InputError(f"moments were asked for on {images} images; take 1 or more")
        population, places, parts = self._population(), [], []
        apart = [name for name in ("activation", "data_part") if name in population.table]  # weights do not show them
        for _, rows in population.table.groupby(apart, dropna=False):
            places.append(torch.tensor(rows.index.tolist()))
            weights, row = population.weights[places[-1]], rows.iloc[0]
            shown = self._open("train", row).first(images).images
            parts.append(moments(weights, population.layout, runnable_module(row), shown, layers))
        if len(parts) == 1:
            return parts[0]
        order = torch.cat(places).argsort()
        grams, means = (
            {name: torch.cat([getattr(part, kind)[name] for part in parts])[order] for name in parts[0].counts}
            for kind in ("grams", "means")
        )
        return Moments(grams, means, parts[0].counts)

    def images(self, split: ImageSplit = "train") -> Tensor:
        """Normalised images [images, channels, size, size] float32, as the population's models see them.

        They are those of the part that all of them were trained on, or all images if there is no such part. Raises
        `AccessError` below `Access.IMAGES`, and for test images.
        """
        self._check(Access.IMAGES, split)
        return self._open(split, self._population().row).images

    def labelled(self, split: ImageSplit = "train") -> Images:
        """The same images with their labels [images] int64. Raises `AccessError` below `Access.LABELS`, and for test
        images."""
        self._check(Access.LABELS, split)
        return self._open(split, self._population().row)

    def _check(self, asked: Access, split: str) -> None:
        if split not in ("train", "val"):
            raise AccessError(f"a method asked for '{split}' images; methods may see the splits 'train' and 'val' only")
        if asked > self.access:
            raise AccessError(
                f"a method with access to {self.access.words} asked for {asked.words}; declare "
                f"access=Access.{asked.name} in its Method, and choose a task or track that allows it"
            )

    def _population(self) -> Population:
        if self.population is None or not len(self.population):
            raise InputError("a population without models does not have its own images; ask for those of another one")
        return self.population

    def _open(self, split: str, row: pd.Series) -> Images:
        if self.store is None:
            raise InputError("no images were granted with these models; only the engine grants them")
        return self.store.of(row, split)
