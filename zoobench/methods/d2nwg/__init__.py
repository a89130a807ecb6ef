"""Weights for a dataset: a variational autoencoder, a dataset encoder, and a conditional diffusion over latents.

Source: Soro et al., Diffusion-based neural network weights generation, arXiv 2402.18153.
"""

from dataclasses import replace

from zoobench.methods.d2nwg.method import D2nwg, D2nwgConfig
from zoobench.methods.method import Method
from zoobench.populations import Access

__all__ = ["LITE", "LITE_PRESETS", "METHOD", "PRESETS", "D2nwg", "D2nwgConfig"]

PRESETS = {"default": D2nwgConfig(), "unconditional": D2nwgConfig(condition="none")}
LITE_PRESETS = {"default": replace(D2nwgConfig(), condition="anchors")}

METHOD = Method(
    "d2nwg",
    D2nwg,
    PRESETS,
    access=Access.IMAGES,
    summary="Diffusion over weights, conditioned on the target's training images: generates",
    paper="arXiv 2402.18153",
)
LITE = Method(
    "d2nwg_lite",
    D2nwg,
    LITE_PRESETS,
    summary="d2nwg without images, a reduction: conditioned on the anchors' mean latent; generates, reconstructs",
    paper="arXiv 2402.18153",
)
