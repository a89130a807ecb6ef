"""SANE: sequential autoencoder for neural embeddings, on zoos of mixed architectures.

Sources: Schürholt, Mahoney & Borth, ICML 2024, arXiv 2406.09997; Falk, Schürholt & Borth, arXiv 2504.10141.
"""

from zoobench.methods.density import Gaussian, Kernel
from zoobench.methods.method import Cost, Method
from zoobench.methods.sane.config import PRESETS, SaneConfig
from zoobench.methods.sane.generation import Sampler, SaneSampling, fitted_gaussian
from zoobench.methods.sane.method import Sane

__all__ = [
    "METHOD",
    "PRESETS",
    "Gaussian",
    "Kernel",
    "Sampler",
    "Sane",
    "SaneConfig",
    "SaneSampling",
    "fitted_gaussian",
]


def _cost(config: SaneConfig) -> Cost:
    """2 operations per weight of a transformer and token, forward; 3 times that in training, of two views."""
    token = 2.0 * config.layers * 12 * config.d_model**2
    trained = 3 * 2 * 2 * token
    return Cost(fit=config.steps * config.batch_size * config.window * trained, token=token, trained=trained)


METHOD = Method(
    "sane",
    Sane,
    PRESETS,
    summary="Sequential autoencoder for neural embeddings: embeds, generates, reconstructs",
    paper="arXiv 2406.09997",
    version=2,  # the preset tiny trains otherwise since
    sampling=SaneSampling(),
    cost=_cost,
)
