"""TRAK: attribution by the regression that a network is near its end, on projected gradients, over several models.

Source: Park, Georgiev, Ilyas, Leclerc & Madry, TRAK: Attributing Model Behavior at Scale, arXiv 2303.14186.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.projection import Projection, SparseProjection
from zoobench.methods.attribution.bank import Bank
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population
from zoobench.populations.logits import logits_of

LEAST_RIDGE = 1e-3  # if there are fewer images than numbers to solve for
SEEDS_APART = 10_000  # of the projections of one model and the next


@dataclass(frozen=True)
class Trak(Unlearned):
    """τ(z) = S_λ( [mean over models of φ(z)ᵀ(ΦᵀΦ)⁻¹Φᵀ] · [mean over models of 1 − p] ), arXiv 2303.14186, equation 17.

    φ: the gradient of an image's margin, projected to `size` numbers, None for all of it; Φ: those of all training
    images, also of those that a model did not see; p: the probability of each one's label. members: models; sparse:
    whether each weight counts in one of the numbers alone, and not in all, which is faster and not as published;
    threshold: λ, what scores are moved towards 0 by; ridge: added to the diagonal of ΦᵀΦ, as a share of its mean; the
    default changes nothing but matrices that cannot be inverted. It must be more if there are fewer images than
    numbers.
    """

    members: int = 50
    size: int | None = 256
    ridge: float = 1e-6
    threshold: float = 0.0
    sparse: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.members < 1 or (self.size is not None and self.size < 1):
            raise InputError(f"TRAK was given {self.members} members of size {self.size}; take 1 or more of both")
        if self.ridge < 0 or self.threshold < 0:
            raise InputError("TRAK takes a ridge and a threshold of 0 or more")

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`."""
        bank = Bank.of(models, asked)
        if self.ridge < LEAST_RIDGE and (self.size or models.layout.size) > len(bank.train.labels):
            raise InapplicableError(
                f"TRAK cannot solve for {self.size or 'all'} numbers with {len(bank.train.labels)} images alone; take "
                f"a smaller size, or a ridge of {LEAST_RIDGE:g} or more"
            )
        sizes = len(bank.train.labels), len(asked.labels)
        projections = [self._projection(number) for number in range(self.members)]
        found = []
        for features in bank.features(projections):
            train, shown = features.split(sizes)
            found.append(kernel_scores(train, shown, self.ridge))
        models = bank.last.taken(torch.arange(len(found)))
        answers = logits_of(models, bank.train.images).double()
        doubts = torch.sigmoid(-margins(answers, bank.train.labels)).mean(0)  # 1 − p
        return soft_threshold(torch.stack(found).mean(0) * doubts, self.threshold).float()

    def _projection(self, number: int) -> Projection | SparseProjection | None:
        """That of a model's gradients, None for no projection."""
        if self.size is None:
            return None
        return (SparseProjection if self.sparse else Projection)(self.size, self.seed + SEEDS_APART * number)


def kernel_scores(train: Tensor, asked: Tensor, ridge: float = 0.0) -> Tensor:
    """φ(z)ᵀ(ΦᵀΦ)⁻¹Φᵀ for each asked image z: float64 [asked, images].

    train, asked: projected gradients [images, k] and [asked, k]; ridge: as of `Trak`. Raises `InputError` if ΦᵀΦ cannot
    be inverted.
    """
    train, asked = train.double(), asked.double()
    gram = train.T @ train
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    factor, failed = torch.linalg.cholesky_ex(gram)
    if int(failed):
        raise InputError(
            f"TRAK cannot invert the gradients of {len(train)} images, projected to {train.shape[1]} numbers; take a "
            "smaller size, or a ridge above 0"
        )
    return torch.cholesky_solve(asked.T, factor).T @ train.T


def soft_threshold(values: Tensor, by: float) -> Tensor:
    """Values moved towards 0 by that much, or to it.

    >>> soft_threshold(torch.tensor([-3.0, 0.5, 2.0]), 1.0)
    tensor([-2.,  0.,  1.])
    """
    return values.sign() * (values.abs() - by).clamp(min=0)
