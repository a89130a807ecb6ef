"""The losses of SANE: contrastive between two views, reconstruction over real elements."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Normalization = Literal["token", "batch", "none"]
EPSILON = 1e-4  # added to the variance: a constant or one-element token is divided by 0.01, not by nothing


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalised-temperature cross-entropy of two views [batch, features] (Chen et al., arXiv 2002.05709)."""
    views = F.normalize(torch.cat([first, second]), dim=1)
    similarity = views @ views.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similarity, partner)


def reconstruction(output: Tensor, target: Tensor, mask: Tensor, normalization: Normalization = "token") -> Tensor:
    """Mean squared error over real elements of [batch, tokens, token_size], normalised.

    `token` divides each token's error by the variance of the target token's own real elements: the masked loss
    normalization of Falk et al. (arXiv 2504.10141, section 3). `batch` divides by one variance over the batch, as
    their released code does. `none` divides by nothing. Padding never counts.
    """
    error = (output - target).square() * mask
    if normalization == "token":
        error = error / (masked_variance(target, mask, dim=-1) + EPSILON)
    elif normalization == "batch":
        error = error / (masked_variance(target.flatten(), mask.flatten(), dim=-1) + EPSILON)
    return error.sum() / mask.sum()


def masked_variance(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Variance (without Bessel's correction) over the real elements along `dim`, which is kept."""
    count = mask.sum(dim, keepdim=True).clamp(min=1)
    mean = (values * mask).sum(dim, keepdim=True) / count
    return ((values - mean).square() * mask).sum(dim, keepdim=True) / count
