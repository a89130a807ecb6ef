"""StatNN: statistics of each tensor, read by gradient-boosted trees. Source: Unterthiner et al., arXiv 2002.11448."""

from zoobench.methods.method import Method
from zoobench.methods.statnn.method import Statnn

__all__ = ["METHOD", "Statnn"]

METHOD = Method(
    "statnn",
    Statnn,
    {"default": Statnn(), "pooled": Statnn(layers="pooled")},
    random=False,
    learns=False,
    summary="Predicts properties from statistics of each tensor, by gradient-boosted trees",
    paper="arXiv 2002.11448",
)
