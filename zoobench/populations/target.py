"""The target of generation: a dataset, an architecture and its width, whether or not a zoo has models of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.data import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.architectures.init import initialise
from zoo_generation.networks.flops import forward_flops
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.registry import INITIALIZATIONS
from zoobench.populations import Population, Tokenizer
from zoobench.populations.population import OPEN
from zoobench.zoo import population_names


@dataclass(frozen=True, eq=False)
class Target:
    """A population that may have no models yet.

    row: the columns of a zoo that decide its module and images (dataset, train_images, data_part, architecture, width,
    image_size, activation, init, channels, classes); tokenizer: of its models.
    """

    name: str
    row: pd.Series
    tokenizer: Tokenizer

    @classmethod
    def of(cls, population: Population) -> Target:
        """A further draw."""
        return cls(population.name, population.row, population.tokenizer)

    @classmethod
    def unseen(cls, population: Population) -> Target:
        """A further draw, for a method that must not see the population's models, nor how accurate they are.

        `row` holds the columns named above and no others.
        """
        target = cls.of(population)
        return replace(target, row=target.row.reindex([*OPEN, "init"]))

    @classmethod
    def new(
        cls,
        dataset: ImageDataset,
        architecture: str,
        width: float,
        activation: str,
        token_size: int,
        train_images: int | None = None,
    ) -> Target:
        """Models of an architecture for images with their number of channels and classes, of `dataset.size`."""
        row: dict[str, Any] = {
            "dataset": dataset.name,
            "train_images": train_images,
            "data_part": None,
            "architecture": architecture,
            "width": width,
            "image_size": dataset.size,
            "activation": activation,
            "init": None,
            "channels": dataset.channels,
            "classes": len(dataset.classes),
        }
        series = pd.Series(row, dtype=object)
        layout = get_architecture(architecture).layout(dataset.channels, len(dataset.classes), width)
        return cls(population_names([series])[0], series, Tokenizer.of(layout, token_size))

    @classmethod
    def enlarged(cls, population: Population, architecture: str | None, width: float | None) -> Target:
        """Larger models for the population's images; None means its own architecture or width.

        `row` holds the columns of `unseen`. Raises `InputError` if they have other images, or not that width.
        """
        row = cls.unseen(population).row.copy()
        large = get_architecture(architecture or str(row["architecture"]))
        if width is not None and width != 1 and not large.has_width:
            raise InputError(f"{large.name} has one width only, and width {width:g} was asked for; leave it out")
        if large.fixed_image_size and large.image_size != row["image_size"]:
            raise InputError(
                f"{large.name} needs {large.needs}, and {population.name} has models for {row['image_size']} pixels; "
                "name an architecture for the same images"
            )
        row["architecture"] = large.name
        row["width"] = float(row["width"] if width is None else width) if large.has_width else 1.0
        layout = large.layout(int(row["channels"]), int(row["classes"]), row["width"])
        tokenizer = Tokenizer.of(layout, population.tokenizer.token_size)
        return cls(population_names([row])[0], row, tokenizer)

    @property
    def layout(self) -> Layout:
        return self.tokenizer.layout

    @property
    def operations(self) -> float:
        """Floating-point operations of one image through a model."""
        row = self.row
        sizes = (int(row["channels"]), int(row["classes"]), float(row["width"]), int(row["image_size"]))
        return forward_flops(str(row["architecture"]), *sizes)

    def module(self) -> nn.Module:
        """The module, in evaluation mode, not yet with the weights of a model."""
        return runnable_module(self.row)

    def population(self, weights: Tensor, val_accuracy: Tensor) -> Population:
        """Models of the target: weights [models, D] and their accuracy [models] on validation images."""
        table = pd.DataFrame([self.row] * len(weights)).reset_index(drop=True)
        table = table.assign(val_accuracy=val_accuracy.tolist(), split="train")
        return Population.of(self.name, self.tokenizer, weights, table)

    def new_models(self, count: int, seed: int) -> Tensor:
        """Weights [count, D] before any training: as `init` says, or PyTorch's own if it is not known."""
        module, weights = self.module(), []
        init = self.row["init"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for _ in range(count):
                if init in INITIALIZATIONS:
                    initialise(module, init)
                else:
                    _reset(module)
                weights.append(self.layout.flatten(module.state_dict()))
        return torch.stack(weights).detach()


def classifier_of(module: nn.Module) -> str:
    """The name of the last linear layer. Raises `InputError` if a module has none."""
    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not names:
        raise InputError(
            "the classifier cannot be found, because the architecture has no linear layer; take anchors of a dataset "
            "with as many classes as the target's"
        )
    return names[-1]


def corresponding(tokenizer: Tokenizer, target: Target) -> Tensor | None:
    """For each of the target's tokens, the number [target tokens] of the matching token in other models.

    It is of the same layer, row and piece; if the target's classifier has more rows, they start over. None if the
    layers, or their numbers of tokens, differ elsewhere.
    """
    if tokenizer.layout == target.layout:
        return torch.arange(len(tokenizer))
    if tokenizer.layers != target.tokenizer.layers:
        return None
    classifier = f"{classifier_of(target.module())}.weight"
    places = []
    for theirs, ours in zip(tokenizer.blocks, target.tokenizer.blocks, strict=True):
        if theirs.pieces != ours.pieces or (theirs.rows != ours.rows and ours.weight.name != classifier):
            return None
        rows = torch.arange(ours.rows)[:, None] % theirs.rows
        places.append((theirs.first + rows * theirs.pieces + torch.arange(ours.pieces)).flatten())
    return torch.cat(places)


def with_new_classifier(weights: Tensor, target: Target, seed: int) -> Tensor:
    """The models [models, D] for the target, each with the last linear layer of a new one. Source: arXiv 2406.09997."""
    name = classifier_of(target.module())
    new, renewed = target.new_models(len(weights), seed), weights.clone()
    for entry in target.layout:
        if entry.name.rpartition(".")[0] == name:
            renewed[:, entry.span] = new[:, entry.span].to(renewed)
    return renewed


def _reset(module: nn.Module) -> None:
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()
