"""The baselines that every learned method is compared with. Only `pca` learns from a token set."""

from zoobench.methods.baselines.embedders import FlatWeights, LayerStatistics
from zoobench.methods.baselines.floors import Hyperparameters, TrainingMean
from zoobench.methods.baselines.generators import AnchorAverage, Anchors, MatchedAverage, RandomInit, WeightDensity
from zoobench.methods.baselines.pca import PCA_PRESETS, Pca
from zoobench.methods.baselines.spectral import SpectralStatistics
from zoobench.methods.method import Method
from zoobench.methods.unlearned import Unlearned

__all__ = [
    "PCA_PRESETS",
    "AnchorAverage",
    "Anchors",
    "FlatWeights",
    "Hyperparameters",
    "LayerStatistics",
    "MatchedAverage",
    "Pca",
    "RandomInit",
    "SpectralStatistics",
    "TrainingMean",
    "WeightDensity",
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
