"""The networks: a variational autoencoder of weight vectors, and an encoder of sets of images.

Source: Soro et al., arXiv 2402.18153, section 3; both are smaller than published. There the autoencoder is that of
latent diffusion, on weights that are shaped as an image, and the encoder a set transformer over CLIP's features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 14  # pixels: the size of images here
HEADS = 4


class VariationalAutoencoder(nn.Module):
    """Vectors to the mean and logarithm of the variance of a latent, and latents to vectors."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, size))

    def encode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, and logarithm of the variance, [models, latent] each."""
        mean, spread = self.encoder(vectors).chunk(2, dim=1)
        return mean, spread.clamp(-20, 10)


class DatasetEncoder(nn.Module):
    """Sets of images to one vector each, whatever the order of the images: attention from a learned query.

    Source: Lee et al., Set Transformer, arXiv 1810.00825 (pooling by attention).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.image_in = nn.Sequential(nn.Linear(channels * SIDE**2, width), nn.GELU(), nn.Linear(width, width))
        self.mixed = nn.TransformerEncoderLayer(width, HEADS, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.query = nn.Parameter(torch.randn(1, 1, width))
        self.pooled = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.out = nn.Linear(width, width)

    def forward(self, images: Tensor) -> Tensor:
        """[sets, images, channels · SIDE²] to unit vectors [sets, width]."""
        seen = self.mixed(self.image_in(images))
        pooled, _ = self.pooled(self.query.expand(len(images), -1, -1), seen, seen, need_weights=False)
        return F.normalize(self.out(pooled[:, 0]), dim=1)
