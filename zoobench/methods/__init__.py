"""What is compared: SANE, its peers, baselines, and what a method of yours is made of (`docs/your-method.md`)."""

from zoobench.methods.method import Method
from zoobench.methods.protocols import (
    HERE,
    Embedder,
    Execution,
    Generator,
    InapplicableError,
    LayerEmbedder,
    Predictor,
    Reconstructor,
)
from zoobench.methods.unlearned import Unlearned

__all__ = [
    "HERE",
    "Embedder",
    "Execution",
    "Generator",
    "InapplicableError",
    "LayerEmbedder",
    "Method",
    "Predictor",
    "Reconstructor",
    "Unlearned",
]
