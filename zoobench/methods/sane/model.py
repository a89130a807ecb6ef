"""The autoencoder: tokens → latents → tokens, and a projection head for the contrastive loss.

Source: Schürholt, Mahoney & Borth, arXiv 2406.09997, section 3. `published.py` maps the released code's names of
parameters to these.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoobench.methods.sane.positions import MaxPositions, Positions, make_positions

SMALLEST_NORM = 1e-8  # squared; a token of zeros has a finite logarithm
Initialization = Literal["published", "scaled"]
STD = 0.02  # of a new linear layer's weights, as in GPT-2
GAIN = 0.5  # a new linear layer's output is this times as large as its input, if `scaled`


class TransformerBlock(nn.Module):
    """A pre-norm transformer block without biases: non-causal attention, then a GELU MLP four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.ln_2 = nn.LayerNorm(width, bias=False)
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """x [batch, tokens, width]; `real` [batch, tokens] says which tokens may be attended to; None means all."""
        q, k, v = self.qkv(self.ln_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if real is None else real[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.ln_2(x))))


class Transformer(nn.Module):
    """Blocks in a row."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, real)
        return x


class Autoencoder(nn.Module):
    """Input linear → + positions → transformer → latent; linear up → + positions → transformer → token.

    With `token_norm` the input linear also sees the logarithm of a token's norm. This is not published, but predicts a
    checkpoint's accuracy best, and the network would otherwise have to find it in squares.

    With `skip`, linear maps lead past the transformers: from a token to its latent, and from a latent to its token.
    They start orthonormal, the second as the transpose of the first. So with as many latents as elements of a token,
    an untrained autoencoder already keeps the token. This is not published. Without it a token has to pass through
    `width` numbers, and ResNets' tokens, which hardly compress, lose what does not fit.
    """

    def __init__(
        self,
        token_size: int,
        latent: int,
        width: int,
        heads: int,
        layers: int,
        max_positions: MaxPositions,
        window: int,
        projection: int = 30,
        token_norm: bool = False,
        positions: Positions = "learned",
        initialization: Initialization = "published",
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.window = window
        self.token_in = nn.Linear(token_size, width)
        self.encoder = Transformer(width, heads, layers)
        self.latent = nn.Linear(width, latent)
        self.latent_in = nn.Linear(latent, width)
        self.decoder = Transformer(width, heads, layers)
        self.token_out = nn.Linear(width, token_size)
        self.projection = nn.Sequential(
            nn.Linear(window * latent, projection, bias=False),
            nn.LayerNorm(projection),
            nn.ReLU(),
            nn.Linear(projection, projection, bias=False),
            nn.LayerNorm(projection),
            nn.ReLU(),
        )
        self._initialise(layers, initialization)
        # Of one input, whose range is that of a logarithm: PyTorch's own initialization, which lets it be seen.
        self.norm_in = nn.Linear(1, width, bias=False) if token_norm else None
        self.positions = make_positions(positions, width, max_positions)
        self.skip_in = nn.Linear(token_size, latent, bias=False) if skip else None
        self.skip_out = nn.Linear(latent, token_size, bias=False) if skip else None
        if self.skip_in is not None and self.skip_out is not None:
            nn.init.orthogonal_(self.skip_in.weight)
            self.skip_out.weight = nn.Parameter(
                self.skip_in.weight.detach().T.clone(memory_format=torch.contiguous_format)
            )

    def _initialise(self, layers: int, initialization: Initialization) -> None:
        """Normal weights and zero biases.

        `published`: the same deviation everywhere, smaller in layers that add to the residual stream. `scaled`: by the
        number of inputs, so that signals are as large as a learning rate expects them; layers that add begin at zero.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                adds = name.endswith(("attention_out", "mlp_out"))
                std = STD / math.sqrt(2 * layers) if adds else STD
                if initialization == "scaled" and not name.startswith("projection"):
                    std = 0.0 if adds else GAIN / math.sqrt(module.in_features)
                nn.init.normal_(module.weight, std=std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor, positions: Tensor, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A window's projection [batch, projection] and its reconstructed tokens [batch, tokens, token_size]."""
        latents = self.encode(tokens, positions, real)
        return self.project(latents, real), self.decode(latents, positions, real)

    def encode(self, tokens: Tensor, positions: Tensor, real: Tensor | None = None) -> Tensor:
        """Tokens [batch, tokens, token_size] to latents [batch, tokens, latent].

        positions: [batch, tokens, 3]; real: [batch, tokens], false for tokens that only fill up a short window.
        """
        embedded = self.token_in(tokens) + self.positions(positions)
        if self.norm_in is not None:
            norm = tokens.square().sum(-1, keepdim=True)
            embedded = embedded + self.norm_in((norm + SMALLEST_NORM).log() / 2)
        latents: Tensor = self.latent(self.encoder(embedded, real))
        return latents if self.skip_in is None else latents + self.skip_in(tokens)

    def decode(self, latents: Tensor, positions: Tensor, real: Tensor | None = None) -> Tensor:
        """Latents [batch, tokens, latent] to tokens [batch, tokens, token_size]."""
        tokens: Tensor = self.token_out(self.decoder(self.latent_in(latents) + self.positions(positions), real))
        return tokens if self.skip_out is None else tokens + self.skip_out(latents)

    def project(self, latents: Tensor, real: Tensor | None = None) -> Tensor:
        """Latents of one window [batch, tokens, latent] to [batch, projection]; missing tokens count as zero."""
        if real is not None:
            latents = latents * real[..., None]
        return self.projection(F.pad(latents, (0, 0, 0, self.window - latents.shape[1])).flatten(1))
