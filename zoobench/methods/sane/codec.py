"""A trained autoencoder of tokens: checkpoints to latents and back, a few at a time, so that memory stays bounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.windows import in_windows
from zoobench.populations import Population, Tokenizer

ELEMENTS = 2**24  # of tokens at once, 64 MiB
MODELS = 64  # at once, at most: more do not fit into a CPU's cache


def models_at_once(tokenizer: Tokenizer) -> int:
    """How many models' tokens are encoded or decoded together: at least one."""
    return max(1, min(MODELS, ELEMENTS // max(1, len(tokenizer) * tokenizer.token_size)))


def in_pieces(population: Population) -> Iterator[Population]:
    """The population in pieces of checkpoints that are encoded together."""
    step = models_at_once(population.tokenizer)
    places = np.arange(len(population))
    for start in range(0, len(population), step):
        yield population.select((start <= places) & (places < start + step))


@dataclasses.dataclass(eq=False)
class Codec:
    """Encodes and decodes checkpoints in tokens of one size.

    `max_positions` bounds (tokens, layers, channels) of the models it was trained on; `references`: by population name,
    the model [D] that the population is matched to.
    """

    config: SaneConfig
    token_size: int
    max_positions: tuple[int, int, int]
    references: dict[str, Tensor]
    standardization: Standardization = dataclasses.field(default_factory=Standardization)

    def __post_init__(self) -> None:
        c = self.config
        self.model = Autoencoder(
            self.token_size,
            c.latent,
            c.d_model,
            c.heads,
            c.layers,
            self.max_positions,
            c.window,
            token_norm=c.token_norm,
            positions=c.positions,
            initialization=c.initialization,
            skip=c.skip,
        ).eval()

    def to(self, device: torch.device | str) -> Self:
        """Compute on that device, where latents and decoded weights stay; inputs may be anywhere."""
        self.model.to(device)
        return self

    def encode(self, tokenizer: Tokenizer, weights: Tensor) -> Tensor:
        """Latents [models, tokens, latent] of flat weights [models, D]."""
        self._check(tokenizer)
        chunks = []
        for chunk in weights.split(models_at_once(tokenizer)):
            chunk = chunk.to(self.device)
            tokens = self.standardization.standardised(tokenizer.tokens(chunk), tokenizer)
            chunks.append(self._run(self.model.encode, tokens, tokenizer))
        return torch.cat(chunks)

    def decode(self, tokenizer: Tokenizer, latents: Tensor, base: Tensor | None = None) -> Tensor:
        """Flat weights [models, D] of latents [models, tokens, latent]; `base` [D] gives the weights outside tokens."""
        self._check(tokenizer)
        chunks = []
        for chunk in latents.to(self.device).split(models_at_once(tokenizer)):
            tokens = self.standardization.raw(self._run(self.model.decode, chunk, tokenizer), tokenizer)
            chunks.append(tokenizer.weights(tokens, base))
        return torch.cat(chunks)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    def _run(self, part: Callable[[Tensor, Tensor], Tensor], sequence: Tensor, tokenizer: Tokenizer) -> Tensor:
        with torch.inference_mode():
            return in_windows(part, sequence, tokenizer.positions, self.config.window, self.config.halo)

    def _check(self, tokenizer: Tokenizer) -> None:
        """Raises `InputError` for tokens of another size, and beyond learned positions."""
        if tokenizer.token_size != self.token_size:
            raise InputError(
                f"this SANE reads tokens of size {self.token_size}, and was given size {tokenizer.token_size}; make "
                f"them with --token-size {self.token_size}, or train one on these"
            )
        largest = tokenizer.positions.max(0).values + 1
        if self.config.positions == "learned" and (largest > torch.tensor(self.max_positions)).any():
            raise InputError(
                f"this SANE has learned positions of at most {self.max_positions[0]} tokens, {self.max_positions[1]} "
                f"layers and {self.max_positions[2]} channels, and was given {largest.tolist()}; train one on a zoo "
                "that has such models, or with sinusoidal positions"
            )
