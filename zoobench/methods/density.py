"""Densities over latents, from which new latents are drawn: kernel densities around anchors, and Gaussians."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Density = Literal["token", "individual", "joint"]


@dataclass(frozen=True)
class Kernel:
    """A kernel density's kind and bandwidth, `relative` to the anchors' deviation or absolute. See `draw`."""

    density: Density
    bandwidth: float
    relative: bool


def draw(
    latents: Tensor,
    count: int,
    density: Density,
    bandwidth: float,
    relative: bool,
    generator: torch.Generator,
) -> Tensor:
    """Draw latents [count, tokens, latent] from a Gaussian kernel density over anchors' [anchors, tokens, latent].

    A draw from a kernel density is an anchor plus Gaussian noise. `token` picks an anchor for each token,
    `individual` for each latent dimension, `joint` one for the whole sequence. The bandwidth is the noise's
    deviation, absolute (0.2 as published) or relative to each dimension's deviation over the anchors. The generator is
    of the latents' device.
    Source: Schürholt et al., arXiv 2209.14733, section 3; arXiv 2406.09997, section 3.3.
    """
    anchors, tokens, width = latents.shape
    shape = {"token": (count, tokens, 1), "individual": (count, tokens, width), "joint": (count, 1, 1)}[density]
    device = latents.device
    chosen = torch.randint(anchors, shape, generator=generator, device=device).expand(count, tokens, width)
    scale = latents.std(0, correction=0) if relative else torch.ones(tokens, width, device=device)
    noise = torch.randn(count, tokens, width, generator=generator, device=device)
    return latents.gather(0, chosen) + bandwidth * scale * noise


@dataclass(frozen=True, eq=False)
class Gaussian:
    """One distribution for every token's latent: mean [latent], and a factor [latent, latent] of the covariance."""

    mean: Tensor
    factor: Tensor

    @classmethod
    def standard(cls, width: int) -> Gaussian:
        """Mean 0, covariance 1."""
        return cls(torch.zeros(width), torch.eye(width))

    @classmethod
    def fitted(cls, pieces: Iterable[Tensor]) -> Gaussian:
        """Mean and covariance over all tokens of latents [models, tokens, latent], given piece by piece."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for latents in pieces:
            rows = latents.flatten(0, 1).double().cpu()
            count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.T @ rows
        mean = total / count
        values, vectors = torch.linalg.eigh(squares / count - mean.outer(mean))
        return cls(mean.float(), (vectors * values.clamp(min=0).sqrt()).float())

    def draw(self, count: int, tokens: int, generator: torch.Generator) -> Tensor:
        """Latents [count, tokens, latent]."""
        device = generator.device
        noise = torch.randn(count, tokens, len(self.mean), generator=generator, device=device)
        return self.mean.to(device) + noise @ self.factor.T.to(device)
