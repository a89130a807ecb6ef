"""LiRA: membership by how likely an image's margin is under models that saw it, and under models that did not.

Source: Carlini et al., Membership Inference Attacks From First Principles, arXiv 2112.03570.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.accuracy import margins
from zoobench.methods.attribution.bank import Bank
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.logits import logits_of

LEAST = 1e-12  # variance, as of a network that has no weights


@dataclass(frozen=True)
class LikelihoodRatio(Unlearned):
    """log p(f | seen) − log p(f | not seen) for the margin f of an image, both normal, by the known models that saw the
    image and those that did not; section 4, there after augmentations too.

    online: whether models that saw the image are used; without them it is (f − mean) / deviation of those that did not.
    models: how many are read, None for all. Variances are shrunk to their mean over images, which counts as one model,
    so that each image has one.
    """

    online: bool = True
    models: int | None = None

    def memberships(self, asked: Population, known: Population) -> Tensor:
        """See `MembershipReader`. Raises `InapplicableError` if the known models all saw the same images."""
        bank = Bank.of(known, asked.evidence.labelled("train"))
        masks, outputs = bank.masks[: self.models].double(), bank.margins[: self.models]
        if bool((masks == masks[0]).all()):
            raise InapplicableError(
                f"the models of {known.name} all saw the same images; take a zoo whose spec has a subset_fraction"
            )
        shown = margins(logits_of(asked, bank.train.images).double(), bank.train.labels)
        mean, variance = moments(1 - masks, outputs)
        if not self.online:
            return ((shown - mean) / variance.sqrt()).float()
        return (log_normal(shown, *moments(masks, outputs)) - log_normal(shown, mean, variance)).float()


def moments(counted: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each column over the rows that count, that of all rows if none does; and the variance, shrunk to the
    mean of all columns as by one more row: float64 [columns] each.

    counted: 0 or 1, outputs: float64, both [rows, columns].
    """
    count = counted.sum(0)
    mean = torch.where(count > 0, (counted * outputs).sum(0) / count.clamp(min=1), outputs.mean(0))
    squares = (counted * (outputs - mean) ** 2).sum(0)
    free = (count - 1).clamp(min=0)
    whole = squares.sum() / free.sum().clamp(min=1)
    return mean, ((squares + whole) / (free + 1)).clamp(min=LEAST)


def log_normal(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The logarithm of a normal density, but for a constant that all share."""
    return -((values - mean) ** 2) / (2 * variance) - variance.log() / 2
