"""Flow matching over principal components of matched weights.

Source: Gupta et al., DeepWeightFlow, arXiv 2601.05052.
"""

from zoobench.methods.method import Method
from zoobench.methods.weight_flow.method import PRESETS, WeightFlow, WeightFlowConfig

__all__ = ["METHOD", "PRESETS", "WeightFlow", "WeightFlowConfig"]

METHOD = Method(
    "weight_flow",
    WeightFlow,
    PRESETS,
    summary="Flow matching over principal components of matched weights: generates, reconstructs",
    paper="arXiv 2601.05052",
)
