"""Which training images made a model answer as it does: similarities, gradients, influence, TRAK, and datamodels."""

from collections.abc import Mapping

from zoobench.methods.attribution.ekfac import KroneckerInfluence
from zoobench.methods.attribution.influence import ExactInfluence, UnrolledInfluence
from zoobench.methods.attribution.kernel import Trak
from zoobench.methods.attribution.metagradient import metagradients
from zoobench.methods.attribution.products import GradientProducts
from zoobench.methods.attribution.similarity import PenultimateSimilarity, PixelSimilarity, RandomScores, SameClass
from zoobench.methods.attribution.subsets import EmpiricalInfluence, LassoDatamodel, RidgeDatamodel
from zoobench.methods.method import Method
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Access

__all__ = [
    "EmpiricalInfluence",
    "ExactInfluence",
    "GradientProducts",
    "KroneckerInfluence",
    "LassoDatamodel",
    "PenultimateSimilarity",
    "PixelSimilarity",
    "RandomScores",
    "RidgeDatamodel",
    "SameClass",
    "Trak",
    "UnrolledInfluence",
    "metagradients",
]


def _attributor(
    name: str,
    made: Unlearned,
    summary: str,
    paper: str = "",
    presets: Mapping[str, Unlearned] | None = None,
    *,
    random: bool = False,
    baseline: bool = False,
) -> Method:
    """A method that learns nothing, and sees images with labels."""
    every = {"default": made, **(presets or {})}
    access = Access.LABELS
    return Method(name, type(made), every, baseline, random, learns=False, access=access, summary=summary, paper=paper)


RANDOM_SCORES = _attributor("random_scores", RandomScores(), "Scores by chance", random=True, baseline=True)
SAME_CLASS = _attributor("same_class", SameClass(), "Names images of the same class", baseline=True)
PIXEL_SIMILARITY = _attributor("pixel_similarity", PixelSimilarity(), "Cosines of images", baseline=True)
PENULTIMATE_SIMILARITY = _attributor(
    "penultimate_similarity", PenultimateSimilarity(), "Cosines of the last layer's inputs", baseline=True
)
GRAD_DOT = _attributor("grad_dot", GradientProducts(), "Products of gradients after training", "arXiv 2002.08484")
GRAD_COS = _attributor(
    "grad_cos", GradientProducts(cosine=True), "Cosines of gradients after training", "arXiv 2102.05262"
)
TRACIN = _attributor(
    "tracin", GradientProducts(path=True), "Products of gradients over checkpoints", "arXiv 2002.08484"
)
GAS = _attributor(
    "gas", GradientProducts(path=True, cosine=True), "Cosines of gradients over checkpoints", "arXiv 2201.10055"
)
TRAK = _attributor(
    "trak",
    Trak(),
    "Regression on projected gradients of several models",
    "arXiv 2303.14186",
    {f"members_{count}": Trak(members=count) for count in (1, 10, 200)}
    | {"whole": Trak(size=None, ridge=0.1), "sparse": Trak(sparse=True)},
    random=True,
)
INFLUENCE_EXACT = _attributor(
    "influence_exact", ExactInfluence(), "Influence with the whole Gauss-Newton matrix", "arXiv 1703.04730"
)
INFLUENCE_EKFAC = _attributor(
    "influence_ekfac", KroneckerInfluence(), "Influence with Kronecker factors, by kronfluence", "arXiv 2308.03296"
)
SOURCE = _attributor("source", UnrolledInfluence(), "Influence unrolled along training", "arXiv 2405.12186")
EMPIRICAL_INFLUENCE = _attributor(
    "empirical_influence",
    EmpiricalInfluence(),
    "Models that saw an image against those that did not",
    "arXiv 2008.03703",
)
DATAMODEL_RIDGE = _attributor(
    "datamodel_ridge", RidgeDatamodel(), "Ridge regression of margins on subsets", "arXiv 2202.00622"
)
DATAMODEL_LASSO = _attributor(
    "datamodel_lasso", LassoDatamodel(), "The lasso of margins on subsets", "arXiv 2202.00622"
)
