"""The autoencoder: one token per unit, one latent per model.

Source: Schürholt et al., arXiv 2110.15288, section 3, and arXiv 2209.14733, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoobench.methods.sane.model import Transformer
from zoobench.populations import Tokenizer

STD = 0.02  # of new positions
PROJECTION = 32  # numbers that the contrastive loss compares


class LayerLinear(nn.Module):
    """A linear map of tokens, another one for each layer of the models."""

    def __init__(self, tokenizer: Tokenizer, inputs: int, outputs: int) -> None:
        super().__init__()
        self.spans = [block.tokens for block in tokenizer.blocks]
        self.maps = nn.ModuleList(nn.Linear(inputs, outputs) for _ in self.spans)

    def forward(self, x: Tensor) -> Tensor:
        """[models, tokens, inputs] to [models, tokens, outputs]."""
        return torch.cat([each(x[:, span]) for each, span in zip(self.maps, self.spans, strict=True)], dim=1)


class UnitAutoencoder(nn.Module):
    """Tokens → linear by layer, + positions → transformer with a compression token → tanh → latent; and back."""

    def __init__(self, tokenizer: Tokenizer, width: int, heads: int, layers: int, latent: int) -> None:
        super().__init__()
        self.token_in = LayerLinear(tokenizer, tokenizer.token_size, width)
        self.positions = nn.Parameter(STD * torch.randn(len(tokenizer) + 1, width))
        self.encoder = Transformer(width, heads, layers)
        self.to_latent = nn.Linear(width, latent)
        self.from_latent = nn.Linear(latent, width)
        self.decoder = Transformer(width, heads, layers)
        self.token_out = LayerLinear(tokenizer, width, tokenizer.token_size)
        self.projection = nn.Sequential(nn.Linear(latent, latent), nn.ReLU(), nn.Linear(latent, PROJECTION))

    def encode(self, tokens: Tensor) -> Tensor:
        """Latents [models, latent] in [−1, 1] of tokens [models, tokens, token_size]."""
        embedded = self.token_in(tokens)
        compression = embedded.new_zeros(len(embedded), 1, embedded.shape[2])
        encoded = self.encoder(torch.cat([compression, embedded], dim=1) + self.positions, None)
        return torch.tanh(self.to_latent(encoded[:, 0]))

    def decode(self, latents: Tensor) -> Tensor:
        """Tokens [models, tokens, token_size] of latents [models, latent]."""
        repeated = self.from_latent(latents)[:, None] + self.positions[1:]
        tokens: Tensor = self.token_out(self.decoder(repeated, None))
        return tokens
