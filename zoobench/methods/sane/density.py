"""Kernel densities over latents, from which new latents are drawn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Density = Literal["token", "individual", "joint"]


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
    deviation, absolute (0.2 as published) or relative to each dimension's deviation over the anchors.
    Source: Schürholt et al., arXiv 2209.14733, section 3; arXiv 2406.09997, section 3.3.
    """
    anchors, tokens, width = latents.shape
    shape = {"token": (count, tokens, 1), "individual": (count, tokens, width), "joint": (count, 1, 1)}[density]
    chosen = torch.randint(anchors, shape, generator=generator).expand(count, tokens, width)
    scale = latents.std(0, correction=0) if relative else torch.ones(tokens, width)
    noise = torch.randn(count, tokens, width, generator=generator)
    return latents.gather(0, chosen) + bandwidth * scale * noise
