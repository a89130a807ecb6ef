"""Fingerprints of a zoo's checkpoints, by which copies of models are recognised without their weights.

Distances are measured in units of the zoo's own spread, so that different models are not taken for copies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import written_aside
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry import Group, fingerprint
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of
from zoobench.zoo.schema import entries_of

FILE = "fingerprints.safetensors"
LARGEST = 65_504.0  # of a float16
ELEMENTS = 2**26  # of weights in memory at once


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of checkpoints [checkpoints, F] float64, and which model each belongs to: [checkpoints] int64."""

    prints: Tensor
    models: Tensor

    @classmethod
    def of(cls, population: Population, groups: Sequence[Group] | None = None) -> Fingerprints:
        """Of a population's checkpoints; groups: its symmetries, if they are known already."""
        groups = groups_of(population) if groups is None and len(population) else groups or ()
        models, layout = pd.factorize(population.table["model_id"])[0], population.layout
        chunks = np.arange(len(population)) // max(1, ELEMENTS // max(1, layout.size))
        parts = [
            fingerprint(population.select(chunks == chunk).weights, layout, groups)
            for chunk in range(chunks[-1] + 1 if len(chunks) else 1)
        ]
        return cls(torch.cat(parts), torch.from_numpy(models).long())

    @cached_property
    def spread(self) -> float:
        """The zoo's spread: the median distance of a checkpoint to the nearest of another model; 0 if fewer than
        two."""
        apart = torch.cdist(self.prints, self.prints)
        apart[self.models[:, None] == self.models] = torch.inf
        nearest = apart.amin(1) if len(apart) else torch.zeros(0)
        found = nearest[nearest.isfinite()]
        return float(found.median()) if len(found) else 0.0

    def nearest(self, prints: Tensor) -> Tensor:
        """Distance [models] from `prints` [models, F] to the nearest of these; infinite if there are none."""
        if not len(self.prints):
            return torch.full((len(prints),), torch.inf, dtype=torch.float64)
        return torch.cdist(prints, self.prints).amin(1)


def write_fingerprints(path: Path, population: Population) -> None:
    """Write the fingerprints of a zoo's training and validation models, which a method may know, but not its test
    models."""
    known = population.without("test")
    found = Fingerprints.of(known)
    tensors = {"fingerprints": found.prints.clamp(max=LARGEST).half(), "models": found.models.int()}
    with written_aside(path) as aside:
        save_file(tensors, aside, {"layout": json.dumps(entries_of(known.layout))})


def read_fingerprints(path: Path, layout: Layout) -> Fingerprints | None:
    """The written fingerprints, or none if they are of another layout. Raises `InputError` if they are damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            if json.loads((file.metadata() or {}).get("layout", "null")) != json.loads(json.dumps(entries_of(layout))):
                return None
            prints, models = file.get_tensor("fingerprints").double(), file.get_tensor("models").long()
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(
            f"the fingerprints {path} are damaged ({error}); restore them, or record the zoo again with 'zoobench "
            "leaderboard rebuild --record'"
        ) from None
    return Fingerprints(prints, models)
