"""Methods to compare: SANE, its peers, baselines, and your own (`docs/your-method.md`)."""

from zoobench.methods.method import Cost, Method
from zoobench.methods.protocols import (
    HERE,
    Attributor,
    Embedder,
    Execution,
    Generator,
    InapplicableError,
    LayerEmbedder,
    Merger,
    Predictor,
    Reconstructor,
    Samplable,
    Tracer,
    Transferrer,
)
from zoobench.methods.unlearned import Unlearned
from zoobench.populations.evidence import Access, Evidence

__all__ = [
    "HERE",
    "Access",
    "Attributor",
    "Cost",
    "Embedder",
    "Evidence",
    "Execution",
    "Generator",
    "InapplicableError",
    "LayerEmbedder",
    "Merger",
    "Method",
    "Predictor",
    "Reconstructor",
    "Samplable",
    "Tracer",
    "Transferrer",
    "Unlearned",
]
