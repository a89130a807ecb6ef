"""The baselines that every learned method is shown beside. None of them learns anything from a token set."""

from zoobench.methods.baselines.embedders import FlatWeights, LayerStatistics
from zoobench.methods.baselines.generators import AnchorAverage, Anchors, MatchedAverage, RandomInit, WeightDensity
from zoobench.methods.baselines.spectral import SpectralStatistics

__all__ = [
    "AnchorAverage",
    "Anchors",
    "FlatWeights",
    "LayerStatistics",
    "MatchedAverage",
    "RandomInit",
    "SpectralStatistics",
    "WeightDensity",
]
