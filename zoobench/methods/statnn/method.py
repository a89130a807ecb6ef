"""Statistics of each tensor's weights, read by gradient-boosted trees.

Source: Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448, section 4.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.networks.architectures import LayoutEntry
from zoobench.methods.boosting import read_by_trees
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of

PERCENTILES = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
NAMES = ("mean", "deviation", "p0", "p25", "p50", "p75", "p100")
ELEMENTS = 2**23  # of weights sorted at once, 32 MiB; PyTorch's quantiles take no more than 2**24


@dataclass(frozen=True)
class Statnn(Unlearned):
    """Seven numbers per tensor: mean, standard deviation, percentiles 0, 25, 50, 75, 100 of its weights.

    layers: `apart`, a feature for each tensor, missing where a network has fewer layers; `pooled`, their mean over the
    layers, beside those of the last layer. Layers are counted from the first one, and the last one is always the last.
    Trees are fitted for each property when it is asked for; the split `val` of the known models stops them.

    Permuted units change nothing. In networks whose units may change their sign (tanh), statistics of absolute values
    are taken wherever that would change them, so flipped units change nothing either; scaled ones (relu) do.
    """

    layers: Literal["apart", "pooled"] = "apart"

    def predict(
        self, known: Sequence[Population], values: NDArray[Any], asked: Population
    ) -> NDArray[np.float64] | NDArray[np.str_]:
        """See `Predictor.predict`; of models of any architectures."""
        flips = [_flipped(population) for population in (*known, asked)]
        if not all(flips):  # or else features would mean something else for some
            flips = [frozenset()] * len(flips)
        tables = [self._features(each, of) for each, of in zip((*known, asked), flips, strict=True)]
        learned = pd.concat(tables[:-1], ignore_index=True)
        held_out = np.concatenate([(population.table["split"] == "val").to_numpy() for population in known])
        others = tables[-1].reindex(columns=learned.columns)  # a layer that no known network has tells nothing
        return read_by_trees(learned.to_numpy(float), values, held_out, others.to_numpy(float))

    def _features(self, population: Population, absolute: Collection[str]) -> pd.DataFrame:
        """One row per checkpoint, one column per statistic of a tensor or of several."""
        kinds: dict[str, list[Tensor]] = {}
        for entry in population.layout:
            values = population.weights[:, entry.span]
            found = statistics(values.abs() if entry.name in absolute else values)
            kinds.setdefault(_kind(entry), []).append(found)
        columns: dict[str, Tensor] = {}
        for kind, layers in kinds.items():
            if self.layers == "apart":
                places = {str(place): each for place, each in enumerate(layers[:-1])}
            else:
                places = {"all": torch.stack(layers).mean(0)}
            columns |= {f"{kind}.{place}": each for place, each in (places | {"last": layers[-1]}).items()}
        named = {
            f"{place}.{name}": each[:, number] for place, each in columns.items() for number, name in enumerate(NAMES)
        }
        return pd.DataFrame({name: column.numpy() for name, column in named.items()})


def statistics(values: Tensor) -> Tensor:
    """Mean, standard deviation, and percentiles 0, 25, 50, 75, 100 [models, 7] of values [models, weights]."""
    found = []
    for chunk in values.split(max(1, ELEMENTS // max(1, values.shape[1]))):
        quantiles = chunk.quantile(PERCENTILES, dim=1).T
        found.append(torch.cat([chunk.mean(1, keepdim=True), chunk.std(1, correction=0, keepdim=True), quantiles], 1))
    return torch.cat(found)


def _kind(entry: LayoutEntry) -> str:
    """What tensors of several layers have in common: `kernel`, or the last part of a vector's name."""
    return "kernel" if len(entry.shape) > 1 else entry.name.rpartition(".")[2]


def _flipped(population: Population) -> frozenset[str]:
    """The tensors in which a flip of units changes signs."""
    groups = groups_of(population)
    return frozenset(axis.entry for group in groups if group.kind == "flip" for axis in group.axes)
