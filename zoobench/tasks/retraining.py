"""Trainings that judging repeats: each is done once in a process, whatever is judged by it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.train import stack_key
from zoobench.populations import Population
from zoobench.tasks.fine_tuning import fine_tune, specs_like

Kept = TypeVar("Kept")

MOST = 4096
"""Trainings of which something is kept in a process; those that were asked for longest ago are given up."""


def trained_once(
    specs: Sequence[ModelSpec],
    weights: Tensor | None,
    layout: Layout,
    data_root: Path | None,
    device: str,
    keep: Callable[[TrainedModel], Kept],
    curve: Collection[int] = (),
) -> list[Kept]:
    """What is kept of each model, in the order of the specs, after it was trained as its spec says.

    weights: that training starts from [models, D], None for initializations; keep: a function of a module, called with
    each trained model; curve: as of `train_models`. What this process has trained before is not trained again.
    """
    starts = [None] * len(specs) if weights is None else [_digest(each) for each in weights]
    keys: list[Hashable] = [
        (keep, spec.id, start, device, data_root, *curve) for spec, start in zip(specs, starts, strict=True)
    ]
    kept = _kept()
    found = {key: kept.pop(key) for key in dict.fromkeys(keys) if key in kept}
    stacks: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for place, (key, spec) in enumerate(zip(keys, specs, strict=True)):
        if key not in found:
            stacks[stack_key(spec)][key] = place
    for missing in stacks.values():
        places = list(missing.values())
        start = None if weights is None else weights[places]
        models = fine_tune(start, layout, [specs[place] for place in places], data_root, device, curve)
        found |= {key: keep(model) for key, model in zip(missing, models, strict=True)}
    kept.update(found)
    while len(kept) > MOST:
        kept.popitem(last=False)
    return [found[key] for key in keys]


def retrained(population: Population, epochs: int, data_root: Path | None, device: str, *, fresh: bool) -> Population:
    """The models after training on the images of their rows; or fresh networks like them, each of a seed of its own.

    Each is trained as its row says that it was, at a constant rate. One that diverges has all weights 0. Raises
    `InputError` if a row does not say how.
    """
    rows = [row for _, row in population.table.iterrows()]
    specs = [specs_like(row, number if fresh else 1, (epochs,), 0)[-1] for number, row in enumerate(rows, start=1)]
    layout, weights = population.layout, None if fresh else population.weights
    states = trained_once(specs, weights, layout, data_root, device, _end)
    flat = [torch.zeros(layout.size) if state is None else layout.flatten(state) for state in states]
    return population.with_weights(torch.stack(flat))


def _end(model: TrainedModel) -> dict[str, Tensor] | None:
    """The weights after the last epoch; None if it diverged before."""
    last = [each.state for each in model.checkpoints if each.epoch == model.spec.epochs]
    return last[0] if last else None


def _digest(weights: Tensor) -> str:
    return hashlib.sha256(weights.contiguous().numpy().tobytes()).hexdigest()


@cache
def _kept() -> OrderedDict[Hashable, Any]:
    """What this process keeps, that which was asked for last at the end."""
    return OrderedDict()
