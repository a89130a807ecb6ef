"""Latent diffusion over whole weight vectors.

Source: Wang et al., Neural network diffusion, arXiv 2402.13144.
"""

from zoobench.methods.method import Method
from zoobench.methods.p_diff.method import PRESETS, PDiff, PDiffConfig

__all__ = ["METHOD", "PRESETS", "PDiff", "PDiffConfig"]

METHOD = Method(
    "p_diff",
    PDiff,
    PRESETS,
    summary="Autoencoder of matched weights and diffusion over its latents: generates, reconstructs",
    paper="arXiv 2402.13144",
)
