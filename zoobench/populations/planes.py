"""Networks that see what another model answers to an image, as further planes of it: for each class one plane of one
number, the model's probability of the class."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout, LayoutEntry, get_architecture
from zoobench.populations.population import Population
from zoobench.populations.tokenizer import Tokenizer


def layout_like(row: pd.Series, planes: bool = True) -> Layout:
    """The layout of a network like those of a row of a zoo, with planes or without."""
    channels = int(row["channels"]) + planes * int(row["classes"])
    return get_architecture(row["architecture"]).layout(channels, int(row["classes"]), float(row["width"]))


def seeing(bases: Population, weights: Tensor) -> Population:
    """Networks of these weights [bases, D'] that see planes, one like each of the bases."""
    table = bases.table.assign(channels=bases.table["channels"] + bases.table["classes"])
    return Population.of(bases.name, Tokenizer.of(layout_like(bases.row)), weights, table)


def with_planes(images: Tensor, logits: Tensor) -> Tensor:
    """Images [..., channels, size, size] with planes, of the logits [..., classes] of a model of each."""
    planes = logits.softmax(-1)[..., None, None]
    shape = (*planes.shape[:-2], *images.shape[-2:])
    return torch.cat([images.expand(*shape[:-3], *images.shape[-3:]), planes.expand(shape)], -3)


def idle(weights: Tensor, row: pd.Series) -> Tensor:
    """Networks [models, D'] that see planes and do not read them, of those [models, D] that see images alone."""
    parts = layout_like(row, planes=False).unflatten(weights)
    padded = {}
    for entry, spare in _spare(row):
        padded[entry.name] = F.pad(parts[entry.name], (0, 0) * (len(entry.shape) - 2) + (0, spare))
    return layout_like(row).flatten(parts | padded)


def alone(weights: Tensor, row: pd.Series) -> tuple[Tensor, Tensor]:
    """The networks [models, D] that see images alone, of those [models, D'] that see planes; and which of these
    [models] do not read the planes, so that the two compute the same."""
    parts = layout_like(row).unflatten(weights)
    unread = torch.ones(len(weights), dtype=torch.bool)
    for entry, spare in _spare(row):
        own = entry.shape[1] - spare
        unread &= (parts[entry.name][:, :, own:] == 0).flatten(1).all(1)
        parts[entry.name] = parts[entry.name][:, :, :own]
    return layout_like(row, planes=False).flatten(parts), unread


def _spare(row: pd.Series) -> Iterator[tuple[LayoutEntry, int]]:
    """The entries with planes that are larger than those without, and by how many inputs, which are their last ones.

    Raises `InputError` if planes change anything but the number of inputs.
    """
    for one, other in zip(layout_like(row, planes=False), layout_like(row), strict=True):
        if one.shape == other.shape:
            continue
        if len(one.shape) < 2 or (one.shape[0], one.shape[2:]) != (other.shape[0], other.shape[2:]):
            raise InputError(
                f"'{row['architecture']}' does not read further planes by further inputs of its first layers (entry "
                f"'{one.name}'); take models of another architecture"
            )
        yield other, other.shape[1] - one.shape[1]
