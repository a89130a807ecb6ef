"""Embeddings of checkpoints and of their layers, a few checkpoints at a time, so that memory stays bounded."""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.methods.sane.codec import Codec, in_pieces
from zoobench.populations import Population


def embed(codec: Codec, population: Population) -> Tensor:
    """The mean of each checkpoint's token latents, [checkpoints, latent].

    Source: Schürholt, Mahoney & Borth, arXiv 2406.09997, section 3.2.
    """
    pieces = [codec.encode(piece.tokenizer, piece.weights).mean(1).cpu() for piece in in_pieces(population)]
    return torch.cat([torch.zeros(0, codec.config.latent), *pieces])


def embed_layers(codec: Codec, population: Population) -> Tensor:
    """The mean of the token latents of each of a checkpoint's layers, [checkpoints, layers, latent].

    Layers are those of `population.tokenizer.layers`, in order.
    """
    blocks = population.tokenizer.blocks
    pieces = [torch.zeros(0, len(blocks), codec.config.latent)]
    for piece in in_pieces(population):
        latents = codec.encode(piece.tokenizer, piece.weights)
        pieces.append(torch.stack([latents[:, block.tokens].mean(1) for block in blocks], dim=1).cpu())
    return torch.cat(pieces)
