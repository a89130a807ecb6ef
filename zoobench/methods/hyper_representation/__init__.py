"""Hyper-representations: one latent per model, and new models from a density over the latents of good ones.

Sources: Schürholt et al., Self-supervised representation learning on neural network weights, arXiv 2110.15288;
Schürholt et al., Hyper-representations as generative models, arXiv 2209.14733.
"""

from zoobench.methods.hyper_representation.method import PRESETS, HyperRepresentation, HyperRepresentationConfig
from zoobench.methods.method import Method

__all__ = ["METHOD", "PRESETS", "HyperRepresentation", "HyperRepresentationConfig"]

METHOD = Method(
    "hyper_representation",
    HyperRepresentation,
    PRESETS,
    summary="Transformer autoencoder with one latent per model: embeds, generates, reconstructs",
    paper="arXiv 2209.14733",
)
