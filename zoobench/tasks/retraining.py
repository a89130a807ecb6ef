"""What networks reach on images when they are trained on them as a whole: what to read carried changes against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from zoo_generation.data.load import load_images
from zoo_generation.networks.module import State
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.memory import stack_size_for
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.train import stack_key, train_models
from zoobench.populations import Population
from zoobench.tasks.fine_tuning import specs_like


def retrained(population: Population, epochs: int, data_root: Path | None, device: str, *, fresh: bool) -> Population:
    """The models after training on the images of their rows; or fresh networks like them, each of a seed of its own.

    Each is trained as its row says that it was, at a constant rate, and once in a process. One that diverges has all
    weights 0. Raises `InputError` if a row does not say how.
    """
    layout, known = population.layout, _known()
    keys: list[Hashable] = []
    stacks: dict[Hashable, dict[Hashable, tuple[ModelSpec, State]]] = defaultdict(dict)
    for number, (_, row) in enumerate(population.table.iterrows()):
        seeds = number + 1 if fresh else 1
        spec, start = specs_like(row, seeds, (epochs,), 0)[-1], layout.unflatten(population.weights[number])
        key: Hashable = (spec.id, data_root, device, None if fresh else population.names[number])
        keys.append(key)
        if key not in known:
            stacks[stack_key(spec)][key] = spec, start
    for missing in stacks.values():
        specs, states = zip(*missing.values(), strict=True)
        images = load_images(dataset_key(specs[0]), data_root)
        size = stack_size_for(specs[0], images, device)
        models = train_models(specs, images, size, device, start=None if fresh else states)
        for key, model in zip(missing, models, strict=True):
            last = [each for each in model.checkpoints if each.epoch == epochs]
            known[key] = layout.flatten(last[0].state) if last else torch.zeros(layout.size)
    return population.with_weights(torch.stack([known[key] for key in keys]))


@cache
def _known() -> dict[Hashable, Tensor]:
    """The weights [D] that this process has trained."""
    return {}
