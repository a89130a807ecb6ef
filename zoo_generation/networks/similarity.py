"""How alike what two networks compute is: linear centred kernel alignment of their outputs, and images to ask them of.

Source: Kornblith et al., arXiv 1905.00414, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

MIXING = 16.0
"""Both parameters of the Beta distribution of the shares of mixed images; Yang et al., arXiv 2107.11228."""


def linear_cka(one: Tensor, other: Tensor) -> Tensor:
    """The linear centred kernel alignment of outputs [..., images, outputs] and [..., images, others]: float64 [...].

    It is ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of outputs less their means, in [0, 1]; NaN for outputs that are the same for all
    images. All images count together: the mean over batches of a few would be near 1 for networks with many outputs,
    whatever they compute.

    >>> outputs = torch.eye(3)
    >>> round(float(linear_cka(outputs, outputs @ torch.tensor([[0.0, 2, 0], [2, 0, 0], [0, 0, 2]]))), 6)
    1.0
    """
    one, other = (each.double() - each.double().mean(-2, keepdim=True) for each in (one, other))

    def norm(left: Tensor, right: Tensor) -> Tensor:
        return (left.mT @ right).flatten(-2).norm(dim=-1)

    return norm(one, other) ** 2 / (norm(one, one) * norm(other, other))


def mixed_up(images: Tensor, batch: int = 128, seed: int = 0) -> Tensor:
    """Each image mixed with another of its batch, of the same shape [images, channels, height, width].

    The share of the image itself is drawn once a batch, from Beta(16, 16), and the others are the batch in a random
    order, as of Zhang et al., mixup, arXiv 1710.09412. What is drawn depends on the seed and the number of images.
    """
    generator = torch.Generator().manual_seed(seed)
    mixed = []
    for some in images.split(batch):
        gammas = torch._standard_gamma(torch.full((2,), MIXING), generator=generator)
        share = gammas[0] / gammas.sum()
        mixed.append(share * some + (1 - share) * some[torch.randperm(len(some), generator=generator)])
    return torch.cat(mixed)
