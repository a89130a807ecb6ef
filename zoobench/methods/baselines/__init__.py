"""The baselines that learned methods are compared with. `pca`, and those in `split`, learn from a token set."""

from zoobench.methods.baselines.controls import Interpolation, Noise
from zoobench.methods.baselines.embedders import FlatWeights, LayerStatistics
from zoobench.methods.baselines.floors import Hyperparameters, TrainingMean
from zoobench.methods.baselines.generators import AnchorAverage, Anchors, MatchedAverage, RandomInit, WeightDensity
from zoobench.methods.baselines.pca import PCA_PRESETS, Pca
from zoobench.methods.baselines.spectral import SpectralStatistics
from zoobench.methods.baselines.split import (
    SPLIT_PRESETS,
    MatchedModels,
    PcaGaussian,
    Soup,
    SplitDensity,
    WeightGaussian,
)
from zoobench.methods.merging.average import Average
from zoobench.methods.method import Method
from zoobench.methods.unlearned import Unlearned

__all__ = [
    "PCA_PRESETS",
    "SPLIT_PRESETS",
    "AnchorAverage",
    "Anchors",
    "Average",
    "FlatWeights",
    "Hyperparameters",
    "Interpolation",
    "LayerStatistics",
    "MatchedAverage",
    "MatchedModels",
    "Noise",
    "Pca",
    "PcaGaussian",
    "RandomInit",
    "Soup",
    "SpectralStatistics",
    "SplitDensity",
    "TrainingMean",
    "WeightDensity",
    "WeightGaussian",
]


def _unlearned(kind: type[Unlearned], name: str, summary: str, paper: str = "", *, random: bool = False) -> Method:
    return Method(name, kind, baseline=True, random=random, learns=False, summary=summary, paper=paper)


FLAT_WEIGHTS = _unlearned(FlatWeights, "flat_weights", "Embeds a model as its weights")
LAYER_STATISTICS = _unlearned(
    LayerStatistics, "layer_statistics", "Embeds a model as moments and percentiles of each layer", "arXiv 2002.11448"
)
SPECTRAL_STATISTICS = _unlearned(
    SpectralStatistics, "spectral_statistics", "Embeds a model as norms and ranks of its matrices", "arXiv 2002.06716"
)
PCA = Method(
    "pca",
    Pca,
    PCA_PRESETS,
    baseline=True,
    random=False,
    summary="Principal components of the weights: the linear autoencoder",
    paper="Pearson, 1901",
)
RANDOM_INIT = _unlearned(RandomInit, "random_init", "Generates freshly initialized models", random=True)
ANCHORS = _unlearned(Anchors, "anchors", "Generates the anchors themselves: trained models, hard to beat")
ANCHOR_AVERAGE = _unlearned(AnchorAverage, "anchor_average", "Generates the mean of the anchors' weights")
MATCHED_AVERAGE = _unlearned(
    MatchedAverage, "matched_average", "Generates the mean of the anchors after matching units", "arXiv 2209.04836"
)
AVERAGE = _unlearned(Average, "average", "Merges models by the mean of their weights", "arXiv 2203.05482")
WEIGHT_DENSITY = _unlearned(
    WeightDensity, "weight_density", "Generates from a kernel density over matched anchors", random=True
)
TRAINING_MEAN = _unlearned(
    TrainingMean, "training_mean", "Predicts the mean of the training models, or their usual class"
)
HYPERPARAMETERS = _unlearned(
    Hyperparameters,
    "hyperparameters",
    "Predicts properties from hyperparameters and epoch alone, without weights",
    "arXiv 2002.11448",
)


def _noise(name: str, scale: float) -> Method:
    summary = f"Generates anchors with noise of {scale:.0%} of their weights' deviation"
    presets = {"default": Noise(scale)}
    return Method(name, Noise, presets, baseline=True, learns=False, summary=summary, paper="arXiv 2506.07998")


def _split(kind: type[MatchedModels], name: str, summary: str) -> Method:
    return Method(name, kind, SPLIT_PRESETS, baseline=True, summary=summary, paper="arXiv 2506.07998")


NOISE_10 = _noise("noise_10", 0.1)
NOISE_20 = _noise("noise_20", 0.2)
NOISE_40 = _noise("noise_40", 0.4)
NOISE_80 = _noise("noise_80", 0.8)
INTERPOLATION = _unlearned(
    Interpolation, "interpolation", "Generates points between two matched anchors", "arXiv 2605.18632", random=True
)
SOUP = _split(Soup, "soup", "Generates means of 16 matched training models")
WEIGHT_GAUSSIAN = _split(WeightGaussian, "weight_gaussian", "Generates from a Gaussian per matched weight")
PCA_GAUSSIAN = _split(PcaGaussian, "pca_gaussian", "Generates from a Gaussian over principal components")
SPLIT_DENSITY = _split(SplitDensity, "split_density", "Generates from a kernel density over all training models")
