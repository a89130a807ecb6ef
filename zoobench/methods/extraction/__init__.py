"""Methods that copy models from their answers to images, with the model that they were trained from or without.

Source: Jagielski et al., High accuracy and high fidelity extraction of neural networks, arXiv 1909.01838.
"""

from zoobench.methods.extraction.methods import BaseAlone, Imitation, LastLayer
from zoobench.methods.method import Method
from zoobench.populations import Access

__all__ = ["BaseAlone", "Imitation", "LastLayer"]

PAPER = "arXiv 1909.01838"

BASE_ALONE = Method(
    "base_alone", BaseAlone, baseline=True, learns=False, summary="Copies the model that it was given, and asks nothing"
)
IMITATION = Method(
    "imitation",
    Imitation,
    {"default": Imitation(), "slow": Imitation(learning_rate=0.001)},
    learns=False,
    access=Access.IMAGES,
    summary="Trains on the answers to random images",
    paper=PAPER,
)
LAST_LAYER = Method(
    "last_layer",
    LastLayer,
    learns=False,
    access=Access.IMAGES,
    summary="Solves for the last layer on the answers to random images",
    paper=PAPER,
)
