"""The baselines that every learned method is shown beside. None but `pca` learns from a token set."""

from zoobench.methods.baselines.embedders import FlatWeights, LayerStatistics
from zoobench.methods.baselines.generators import AnchorAverage, Anchors, MatchedAverage, RandomInit, WeightDensity
from zoobench.methods.baselines.pca import PCA_PRESETS, Pca
from zoobench.methods.baselines.spectral import SpectralStatistics

__all__ = [
    "PCA_PRESETS",
    "AnchorAverage",
    "Anchors",
    "FlatWeights",
    "LayerStatistics",
    "MatchedAverage",
    "Pca",
    "RandomInit",
    "SpectralStatistics",
    "WeightDensity",
]
