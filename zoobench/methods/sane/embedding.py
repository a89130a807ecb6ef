"""Embeddings of checkpoints and of their layers, a few checkpoints at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoobench.populations import Population, Tokenizer

if TYPE_CHECKING:
    from zoobench.methods.sane.method import Sane

ELEMENTS = 2**24  # of tokens at once, 64 MiB
MODELS = 64  # at once, at most: more fall out of a CPU's cache


def models_at_once(tokenizer: Tokenizer) -> int:
    """How many models' tokens are encoded or decoded together: one at least."""
    return max(1, min(MODELS, ELEMENTS // max(1, len(tokenizer) * tokenizer.token_size)))


def in_pieces(population: Population) -> Iterator[Population]:
    """The population in pieces of as many checkpoints as are encoded together."""
    step = models_at_once(population.tokenizer)
    places = np.arange(len(population))
    for start in range(0, len(population), step):
        yield population.select((start <= places) & (places < start + step))


def embed(sane: Sane, population: Population) -> Tensor:
    """The mean of each checkpoint's token latents, [checkpoints, latent].

    Source: Schürholt, Mahoney & Borth, arXiv 2406.09997, section 3.2.
    """
    pieces = [sane.encode(piece.tokenizer, piece.weights).mean(1) for piece in in_pieces(population)]
    return torch.cat([torch.zeros(0, sane.config.latent), *pieces])


def embed_layers(sane: Sane, population: Population) -> Tensor:
    """The mean of the token latents of each of a checkpoint's layers, [checkpoints, layers, latent].

    Layers are those of `population.tokenizer.layers`, in order.
    """
    blocks = population.tokenizer.blocks
    pieces = [torch.zeros(0, len(blocks), sane.config.latent)]
    for piece in in_pieces(population):
        latents = sane.encode(piece.tokenizer, piece.weights)
        pieces.append(torch.stack([latents[:, block.tokens].mean(1) for block in blocks], dim=1))
    return torch.cat(pieces)
