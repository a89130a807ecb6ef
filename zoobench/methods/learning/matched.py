"""The models that a generator of one architecture learns from, matched to one of them, and their codes.

Sources: Ainsworth et al., Git Re-Basin, arXiv 2209.04836 (matching); Gupta et al., DeepWeightFlow, arXiv 2601.05052
(matching, then principal components, then a generative model).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.symmetry import Group, match_closest
from zoobench.methods.baselines.pca import Basis
from zoobench.methods.learning.examples import Examples
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.sane.standardization import statistics_of
from zoobench.populations import Population, TokenSet
from zoobench.populations.schema import SPLITS
from zoobench.populations.symmetries import groups_of

Checkpoints = Literal["last", "all"]
"""Which checkpoints of each model a generator learns from."""

TOO_FEW = "a generator learns from two or more training models of one layout and activation; fit it to a zoo with them"
SMALLEST = 1e-6  # deviation of a code; a direction in which models do not differ stays at distance zero


def moments_of(codes: Tensor) -> Tensor:
    """Mean and deviation [2, ...] over codes [models, ...]."""
    return torch.stack([codes.mean(0), codes.std(0, correction=0).clamp(min=SMALLEST)])


@dataclass(frozen=True, eq=False)
class Matched:
    """Models of one layout and activation, with the same meaning of each unit.

    activation: None if it is not known; weights: [models, D]; held_out: [models] bool, those of the validation split;
    accuracy: [models] float32, on validation images, NaN if it was not measured; source: [models] int64, the number of
    the population in `names`; reference: [D], the model that all are matched to, None if they are not matched; groups:
    their symmetries.
    """

    layout: Layout
    activation: str | None
    names: tuple[str, ...]
    weights: Tensor
    held_out: Tensor
    accuracy: Tensor
    source: Tensor
    reference: Tensor | None
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, tokens: TokenSet, checkpoints: Checkpoints = "last", matching: bool = True) -> Matched:
        """Models of the layout that most training models have.

        All have the activation of the best by validation accuracy, because weights do not say for which activation
        they were trained. All are matched to that model. Raises `InputError` if there are fewer than two.
        """
        counts = Counter[Layout]()
        for population in tokens.split("train").populations:
            counts[population.layout] += len(population)
        layout = max(counts, key=lambda each: counts[each], default=None)
        parts = [each for each in tokens.without("test").populations if each.layout == layout and len(each)]
        if layout is None:
            raise InputError(TOO_FEW)
        _, activation, reference = max((_best(each.split("train")) for each in parts), key=lambda found: found[0])
        chosen = [_chosen(each, activation, checkpoints) for each in parts]
        chosen = [each for each in chosen if len(each.split("train"))]
        if sum(len(each.split("train")) for each in chosen) < 2:
            raise InputError(TOO_FEW)
        groups = groups_of(chosen[0])
        weights = [each.weights for each in chosen]
        if matching:
            weights = [match_closest(each, reference, layout, groups) for each in weights]
        return cls(
            layout,
            activation,
            tuple(each.name for each in chosen),
            torch.cat(weights),
            torch.cat([torch.from_numpy(each.splits == SPLITS.index("val")) for each in chosen]),
            torch.cat([_accuracy(each) for each in chosen]),
            torch.cat([torch.full((len(each),), number) for number, each in enumerate(chosen)]),
            reference if matching else None,
            groups,
        )

    def examples(self, passes: int = 1) -> Examples:
        """One group: rows of `weights`."""
        return Examples(((~self.held_out).nonzero().flatten(),), (self.held_out.nonzero().flatten(),), passes)


@dataclass(frozen=True, eq=False)
class Codes:
    """Models of one layout as vectors in which each direction has about unit variance, and back.

    activation: of the models, None if it is not known; reference: [D], the model that others are matched to, None if
    they are not matched; mean, deviation: [D], each layer's own, of the training models; basis: principal components of
    the standardised weights, None if the codes are these weights; scale: [k], by which scores are divided.

    The basis is that of held-out models too. Independent trainings are nearly orthogonal, so in a basis of others alone
    a model has a code near zero, and the loss on such codes falls as a generator collapses.
    """

    layout: Layout
    activation: str | None
    reference: Tensor | None
    mean: Tensor
    deviation: Tensor
    basis: Basis | None
    scale: Tensor

    @classmethod
    def of(cls, models: Matched, components: int = 0) -> Codes:
        """components: number of principal components, at most; 0 means none are taken."""
        counts = torch.tensor([entry.numel for entry in models.layout])
        statistics = statistics_of(models.layout, models.weights[~models.held_out])
        mean, deviation = statistics.repeat_interleave(counts, dim=1)
        standard = (models.weights - mean) / deviation
        basis = Basis.of(standard, components) if components else None
        scale = torch.ones(models.layout.size) if basis is None else moments_of(basis.scores(standard))[1]
        return cls(models.layout, models.activation, models.reference, mean, deviation, basis, scale)

    @property
    def size(self) -> int:
        """Numbers per model."""
        return len(self.scale)

    def encode(self, weights: Tensor) -> Tensor:
        """Codes [models, size] of matched weights [models, D]."""
        standard = (weights - self.mean) / self.deviation
        return standard if self.basis is None else self.basis.scores(standard) / self.scale

    def decode(self, codes: Tensor) -> Tensor:
        """Weights [models, D] of codes [models, size]."""
        standard = codes if self.basis is None else self.basis.weights(codes * self.scale)
        return standard * self.deviation + self.mean

    def of_population(self, population: Population) -> Tensor:
        """Codes [checkpoints, size] of a population, matched first.

        Raises `InapplicableError` for another layout than that which was learned.
        """
        self.check(population)
        if self.reference is None:
            return self.encode(population.weights)
        matched = match_closest(population.weights, self.reference, self.layout, groups_of(population))
        return self.encode(matched)

    def check(self, population: Population) -> None:
        """Raises `InapplicableError` for another layout than that which was learned."""
        if population.layout != self.layout:
            raise InapplicableError(
                f"this generator learned models of one layout, and {population.name} has another; fit it to a zoo in "
                "which most models have that layout"
            )

    def check_anchors(self, anchors: Population) -> None:
        """Raises `InapplicableError` for another layout than that which was learned, or another activation.

        Weights do not say for which activation they are, so what would be generated is of no use for another one.
        """
        self.check(anchors)
        others = sorted({*anchors.table["activation"].dropna().astype(str)} - {self.activation})
        if self.activation is not None and others:
            raise InapplicableError(
                f"this generator learned models with {self.activation}, and the anchors of {anchors.name} have "
                f"{others[0]}; fit it to a zoo in which the best model has {others[0]}"
            )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that is learned, by name; see `of_tensors`."""
        basis = {} if self.basis is None else {"basis.mean": self.basis.mean, "basis.components": self.basis.components}
        reference = {} if self.reference is None else {"reference": self.reference}
        return basis | reference | {"mean": self.mean, "deviation": self.deviation, "scale": self.scale}

    @classmethod
    def of_tensors(cls, layout: Layout, activation: str | None, found: dict[str, Tensor]) -> Codes:
        """Undo `tensors`. Raises `KeyError` if one is missing."""
        basis = None
        if "basis.mean" in found:
            basis = Basis(found["basis.mean"], found["basis.components"])
        reference, scale = found.get("reference"), found["scale"]
        return cls(layout, activation, reference, found["mean"], found["deviation"], basis, scale)


def _best(training: Population) -> tuple[float, str | None, Tensor]:
    """The best checkpoint by validation accuracy; if that was not measured, the last: accuracy, activation, weights."""
    accuracy = _accuracy(training).nan_to_num(-1.0)
    if not len(accuracy):
        return -2.0, None, torch.zeros(0)
    place = int(accuracy.argmax()) if bool((accuracy > -1).any()) else len(accuracy) - 1
    activation = training.table["activation"].iloc[place]
    known = None if pd.isna(activation) else str(activation)
    return float(accuracy[place]), known, training.weights[place].clone()


def _chosen(population: Population, activation: str | None, checkpoints: Checkpoints) -> Population:
    """The checkpoints that are learned from, alone."""
    table = population.table
    of_all = table["activation"]
    rows = (of_all.isna() if activation is None else of_all.astype(str) == activation).to_numpy(bool)
    if checkpoints == "last":
        rows = rows & (table["epoch"] == table.groupby("model_id")["epoch"].transform("max")).to_numpy(bool)
    return population.select(rows).alone()


def _accuracy(population: Population) -> Tensor:
    if "val_accuracy" not in population.table:
        return torch.full((len(population),), torch.nan)
    return torch.from_numpy(population.table["val_accuracy"].to_numpy(np.float32, na_value=np.nan).copy())
