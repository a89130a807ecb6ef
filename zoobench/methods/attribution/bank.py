"""Models on subsets of the training images, as attribution sees them, and the base class of what asks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.gradients import Of, Turn, per_example
from zoo_generation.networks.module import runnable_module
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.logits import logits_of
from zoobench.populations.subsets import masks_of

AT_ONCE = 16  # models whose gradients are in memory


@dataclass(frozen=True, eq=False)
class Member:
    """A model: its checkpoints by epoch, the last one last; which training images it saw, bool [images]; and the
    training and the asked images."""

    path: Population
    seen: Tensor
    train: Images
    asked: Images

    def module(self) -> nn.Module:
        """Its network, in evaluation mode."""
        return runnable_module(self.path.table.iloc[0])

    def gradients(self, images: Images, of: Of, place: int = -1, *, double: bool = False) -> Tensor:
        """The gradient of each image's output by the parameters, after its checkpoint `place`: [images, P].

        double: whether in float64, which takes several times as long.
        """
        weights = self.path.weights[place][None]
        return per_example(weights.double() if double else weights, self.path.layout, self.module(), images, of)[0]

    def by_train(self, place: int = -1, *, double: bool = False) -> Tensor:
        """The gradient of each training image's loss: [images, P]."""
        return self.gradients(self.train, "loss", place, double=double)

    def by_asked(self, place: int = -1, *, double: bool = False) -> Tensor:
        """The gradient of each asked image's margin: [asked, P]."""
        return self.gradients(self.asked, "margin", place, double=double)


@dataclass(frozen=True, eq=False)
class Bank:
    """Models of one population, the images that they were trained on or not, and the images that are asked about.

    The order of models is that of their ids, which are hashes: so the first ones are a random choice.
    """

    models: Population
    train: Images
    asked: Images

    @classmethod
    def of(cls, models: Population, asked: Images) -> Bank:
        """With the training images of `models.evidence`; needs `Access.LABELS`."""
        return cls(models, models.evidence.labelled("train"), asked)

    @cached_property
    def every(self) -> Images:
        """The training images, and after them the asked ones."""
        pixels = torch.cat([self.train.images, self.asked.images])
        return Images(pixels, torch.cat([self.train.labels, self.asked.labels]))

    @cached_property
    def _paths(self) -> list[list[int]]:
        """For each model the numbers of its checkpoints, by epoch."""
        ordered = self.models.table.sort_values(["model_id", "epoch"])
        return [rows.index.tolist() for _, rows in ordered.groupby("model_id", sort=True)]

    @cached_property
    def last(self) -> Population:
        """The last checkpoint of each model."""
        numbers = torch.tensor([path[-1] for path in self._paths])
        return self.models.taken(numbers)

    @cached_property
    def masks(self) -> Tensor:
        """Whether each model saw each training image: bool [models, images]."""
        rows = self.models.table.iloc[[path[-1] for path in self._paths]]
        return masks_of(rows, len(self.train.labels))

    @cached_property
    def margins(self) -> Tensor:
        """The margin of each asked image at each model's last checkpoint: float64 [models, asked]."""
        return margins(logits_of(self.last, self.asked.images).double(), self.asked.labels)

    def features(self, projections: Sequence[Turn | None]) -> Iterator[Tensor]:
        """The gradients of each image's margin by the parameters at the last checkpoint, projected, of one model after
        another, the training images first: [images + asked, P]. There is a model for each projection, as long as there
        are models."""
        last = self.last
        for rows in torch.arange(min(len(projections), len(last))).split(AT_ONCE):
            found: dict[int, Tensor] = {}
            for _, table in last.table.iloc[rows.tolist()].groupby("activation", dropna=False):
                places, module = table.index.tolist(), runnable_module(table.iloc[0])
                turns = [projections[place] or _unchanged for place in places]
                gradients = per_example(last.weights[places], last.layout, module, self.every, "margin", turns)
                found |= dict(zip(places, gradients, strict=True))
            yield from (found[place] for place in sorted(found))

    def members(self, count: int) -> Iterator[Member]:
        """The first models, or all if there are not so many."""
        models = self.models
        for number, path in enumerate(self._paths[:count]):
            rows = models.table.iloc[path].reset_index(drop=True)
            checkpoints = Population.of(models.name, models.tokenizer, models.weights[path], rows)
            yield Member(checkpoints, self.masks[number], self.train, self.asked)


def _unchanged(gradients: Tensor) -> Tensor:
    return gradients


@dataclass(frozen=True)
class MeanOfMembers(Unlearned):
    """Attribution as the mean over some models of what each of them says; members: how many."""

    members: int = 10

    def __post_init__(self) -> None:
        if self.members < 1:
            raise InputError(f"attribution was given {self.members} members; take 1 or more models")

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`."""
        found = [self.scores(member) for member in Bank.of(models, asked).members(self.members)]
        return torch.stack(found).mean(0).float()

    def scores(self, member: Member) -> Tensor:
        """What one model says: [asked, images]."""
        raise NotImplementedError
