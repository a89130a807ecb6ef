"""What a population's models answer to images, computed once for each model and kept in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import cache

import torch
from torch import Tensor

from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.module import runnable_module
from zoobench.populations.population import OPEN, Population

MOST_BYTES = 2**30
"""Of kept logits, in a process; those that were asked for longest ago are given up."""

Key = tuple[str, ...]


def logits_of(population: Population, images: Tensor, device: str = "cpu") -> Tensor:
    """Logits [models, images, classes] float32, on the CPU, of each of a population's checkpoints.

    images: as its models see them, normalised, [images, channels, size, size]; device: `cpu` or `cuda`. The models run
    in stacks, all of one activation together, and each different one once: its logits are kept in this process by its
    weights and by the images. Those of a model whose weights are not finite are NaN. Raises `InputError` if the models
    cannot be run.
    """
    shown = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()
    known = population.table[[name for name in OPEN if name in population.table]]
    functions = [repr(each) for each in known.itertuples(index=False)]
    keys: list[Key] = [(device, shown, *each) for each in zip(functions, population.names.tolist(), strict=True)]
    kept = _kept()
    found = {key: kept.pop(key) for key in dict.fromkeys(keys) if key in kept}
    for _, table in population.table.groupby("activation", dropna=False):  # weights do not show their activation
        rows = {keys[row]: row for row in table.index if keys[row] not in found}
        if rows:
            module = runnable_module(table.iloc[0])
            weights = population.weights[list(rows.values())]
            answers = logits(weights, population.layout, module, images, device)
            found |= {key: each.clone() for key, each in zip(rows, answers, strict=True)}
    kept.update(found)
    while len(kept) > 1 and sum(each.nbytes for each in kept.values()) > MOST_BYTES:
        kept.popitem(last=False)
    return torch.stack([found[key] for key in keys])


def probabilities_of(population: Population, images: Tensor, device: str = "cpu") -> Tensor:
    """The probabilities of the classes, by `logits_of`: all alike for an image whose logits are not finite."""
    answers = logits_of(population, images, device)
    known = answers.isfinite().all(2, keepdim=True)  # the weights of a model that ran away may be finite
    return torch.where(known, answers, 0.0).softmax(2)


@cache
def _kept() -> OrderedDict[Key, Tensor]:
    """The logits [images, classes] that this process keeps, those that were asked for last at the end."""
    return OrderedDict()
