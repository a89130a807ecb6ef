"""The models that are merged, group by group, and the base class of what merges them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.symmetry import match_closest
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.population import OPEN
from zoobench.populations.symmetries import groups_of

MOMENT_ELEMENTS = 2**26  # of second moments in memory at once


@dataclass(frozen=True, eq=False)
class Members:
    """Groups of equally many models of one layout and activation, each with the images that it was trained on.

    models: group after group; size: models per group; bases: the weights [groups, D] that all models of a group were
    trained from, None if they have none in common, or it is not known.
    """

    models: Population
    size: int
    bases: Tensor | None = None

    @classmethod
    def of(cls, models: Population, groups: Tensor, bases: Tensor | None = None) -> Members:
        """The models of these rows [groups, size]; a row may be in several groups."""
        rows = groups.flatten()
        return cls(_rows_of(models, models.weights[rows], rows), groups.shape[1], bases)

    def __len__(self) -> int:
        """Groups."""
        return len(self.models) // self.size

    @property
    def layout(self) -> Layout:
        return self.models.layout

    def module(self) -> nn.Module:
        """A network of their architecture, in evaluation mode."""
        return runnable_module(self.models.table.iloc[0])

    @cached_property
    def weights(self) -> Tensor:
        """[groups, size, D] float32"""
        return self.models.weights.unflatten(0, (-1, self.size))

    @cached_property
    def mean(self) -> Tensor:
        """[groups, D] float32; exactly a member where all are equal."""
        first = self.weights[:, 0]
        return first + (self.weights - first[:, None]).mean(1)

    @cached_property
    def statistics(self) -> Tensor:
        """[D] Which of the weights are BatchNorm's running statistics: these are not trained."""
        found = torch.zeros(self.layout.size, dtype=torch.bool)
        for entry in self.layout:
            found[entry.span] = "running_" in entry.name
        return found

    @cached_property
    def vectors(self) -> Tensor:
        """What training added to the base, called task vectors: [groups, size, D].

        Raises `InapplicableError` if the models of a group were not trained from the same weights.
        """
        return self.weights - self.start[:, None]

    @property
    def start(self) -> Tensor:
        """The bases [groups, D]; raises as `vectors` does."""
        if self.bases is None:
            raise InapplicableError(
                "task vectors need the weights that all models of a group were trained from, and these differ or are "
                "not in the zoo; merge siblings of a fork, or choose a method that needs no base"
            )
        return self.bases

    @cached_property
    def data(self) -> Tensor:
        """Which images each member was trained on, as a number [groups, size]: equal for the same images."""
        table = self.models.table
        columns = [name for name in OPEN if name in table]
        numbers = table.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()
        return torch.tensor(numbers).unflatten(0, (-1, self.size))

    def groups(self, chosen: Tensor) -> Members:
        """These groups [n] alone."""
        rows = torch.arange(len(self.models)).unflatten(0, (-1, self.size))[chosen]
        return Members.of(self.models, rows, None if self.bases is None else self.bases[chosen])

    def with_weights(self, weights: Tensor) -> Members:
        """The same models with other weights [groups, size, D], for example after matching."""
        return replace(self, models=self.models.with_weights(weights.flatten(0, 1)))

    def of_all(self, merged: Tensor) -> Population:
        """Each merged model [groups, D] in the place of each member of its group: to be run on the member's images."""
        return self.models.with_weights(merged.repeat_interleave(self.size, 0))

    def by_images(self) -> Iterator[tuple[Tensor, list[Population]]]:
        """Groups [n] whose members were trained on the same images, with one model for each of these, to ask for them.

        Together: groups with members on two halves of a dataset have two.
        """
        kinds = [tuple(sorted(set(row))) for row in self.data.tolist()]
        every = self.data.flatten()
        for kind in dict.fromkeys(kinds):
            chosen = torch.tensor([number for number, each in enumerate(kinds) if each == kind])
            first = [int((every == number).nonzero()[0]) for number in kind]
            yield chosen, [self.models.select(torch.arange(len(every)).eq(row).numpy()).alone() for row in first]

    def at_once(self) -> Iterator[Members]:
        """The groups in parts whose second moments fit into memory."""
        for part in torch.arange(len(self)).split(max(1, models_at_once(self.layout) // self.size)):
            yield self.groups(part)


def models_at_once(layout: Layout) -> int:
    """How many models' second moments of layer inputs fit into memory."""
    elements = sum((entry.numel // entry.shape[0] + 1) ** 2 for entry in layout if len(entry.shape) > 1)
    return max(1, MOMENT_ELEMENTS // max(1, elements))


class GroupMerger(Unlearned):
    """Makes one model of each group in two steps: units are brought into correspondence, then weights are combined."""

    def align(self, members: Members) -> Members:
        """The members with units in correspondence: by default they stay as they are."""
        return members

    def combine(self, members: Members, seed: int) -> Tensor:
        """Weights [groups, D] of members in correspondence."""
        raise NotImplementedError

    def merge(self, models: Population, groups: Tensor, bases: Tensor | None, seed: int) -> Tensor:
        """Weights [groups, D] of one model per group, whose models share an activation; see `Merger`."""
        merged = torch.empty(len(groups), models.layout.size)
        activation = models.table["activation"].astype(str).to_numpy()[groups[:, 0].numpy()]
        for each in dict.fromkeys(activation):
            chosen = torch.from_numpy(activation == each)
            own = None if bases is None else bases[chosen]
            merged[chosen] = self.combine(self.align(Members.of(models, groups[chosen], own)), seed).float()
        return merged


@dataclass(frozen=True)
class MatchingMerger(GroupMerger):
    """One whose units may be matched first; matched: whether they are, see `matched`."""

    matched: bool = False

    def align(self, members: Members) -> Members:
        return matched(members) if self.matched else members


def matched(members: Members) -> Members:
    """The members with units permuted, and flipped if that is a symmetry, to match the best of their group.

    It is the best by validation accuracy; the first, if that is not known.

    Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836.
    """
    best = torch.zeros(len(members), dtype=torch.int64)
    if "val_accuracy" in members.models.table:
        accuracy = torch.tensor(members.models.table["val_accuracy"].to_numpy(float)).unflatten(0, (-1, members.size))
        best = accuracy.nan_to_num(-1.0).argmax(1)
    reference = members.weights[torch.arange(len(members)), best].repeat_interleave(members.size, 0)
    symmetries = groups_of(members.models)
    moved = match_closest(members.models.weights, reference, members.layout, symmetries)
    return members.with_weights(moved.unflatten(0, (-1, members.size)))


def running(model: Population, weights: Tensor) -> Population:
    """Models of these weights [models, D], each to be run on the images of the one model."""
    return _rows_of(model, weights, torch.zeros(len(weights), dtype=torch.int64))


def _rows_of(models: Population, weights: Tensor, rows: Tensor) -> Population:
    """Models of these weights, each with the row of the table that is given for it."""
    table = models.table.iloc[rows.tolist()].reset_index(drop=True)
    return replace(Population.of(models.name, models.tokenizer, weights, table), granted=models.granted)
