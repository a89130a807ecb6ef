"""SANE: sequential autoencoder for neural embeddings, on zoos of mixed architectures.

Sources: Schürholt, Mahoney & Borth, ICML 2024, arXiv 2406.09997; Falk, Schürholt & Borth, arXiv 2504.10141.
"""

from zoobench.methods.density import Gaussian, Kernel
from zoobench.methods.sane.config import PRESETS, SaneConfig
from zoobench.methods.sane.generation import Sampler, fitted_gaussian
from zoobench.methods.sane.method import Sane

__all__ = ["PRESETS", "Gaussian", "Kernel", "Sampler", "Sane", "SaneConfig", "fitted_gaussian"]
