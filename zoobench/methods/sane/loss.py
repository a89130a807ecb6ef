"""The losses of SANE: contrastive between two views, reconstruction over real elements."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Normalization = Literal["token", "batch", "layer", "none"]
EPSILON = 1e-4


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalised-temperature cross-entropy of two views [batch, features] (Chen et al., arXiv 2002.05709)."""
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = views @ views.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similarity, partner)


def squared_error(
    output: Tensor,
    target: Tensor,
    mask: Tensor,
    normalization: Normalization = "token",
    batch: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Squared error over real elements of [batch, tokens, token_size], normalised; zero on padding. Same shape.

    `token` divides each token's error by the variance of the target token's own real elements: the masked loss
    normalization of Falk et al. (arXiv 2504.10141, section 3). `EPSILON` is added to that variance, so that a token
    that is constant, or has one element, is held to a standard deviation of 0.01, and its error stays finite.
    `batch` divides by the square of one standard deviation over the batch, plus `EPSILON`, as their released code does;
    of a part of a batch, `batch` are the target and mask of the whole.
    `none` does not divide, nor does `layer`, whose weights are standardised before they come here
    (`standardization`).
    """
    error = (output.float() - target).square() * mask
    if normalization == "token":
        return error / (masked_variance(target, mask, dim=-1) + EPSILON)
    if normalization == "batch":
        values, real = batch or (target, mask)
        deviation = masked_variance(values.flatten(), real.flatten(), dim=-1).sqrt()
        return error / (deviation + EPSILON).square()
    return error


def reconstruction(output: Tensor, target: Tensor, mask: Tensor, normalization: Normalization = "token") -> Tensor:
    """The mean of `squared_error` over real elements."""
    return squared_error(output, target, mask, normalization).sum() / mask.sum()


def masked_variance(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Variance (without Bessel's correction) over the real elements along `dim`, which is kept."""
    count = mask.sum(dim, keepdim=True).clamp(min=1)
    mean = (values * mask).sum(dim, keepdim=True) / count
    return ((values - mean).square() * mask).sum(dim, keepdim=True) / count
