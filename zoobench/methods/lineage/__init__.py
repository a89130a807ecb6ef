"""Methods that say which model another one was trained from, by weights, by what models compute, or by a test."""

from zoobench.methods.lineage.behaviour import Behaviour, Cka
from zoobench.methods.lineage.calibration import Calibration
from zoobench.methods.lineage.independence import Independence, p_values, parts_of
from zoobench.methods.lineage.tracer import Measure, MeasureTracer, RandomTracer
from zoobench.methods.lineage.weights import LayerCosine, WeightDistance
from zoobench.methods.method import Method
from zoobench.populations import Access

__all__ = [
    "Behaviour",
    "Calibration",
    "Cka",
    "Independence",
    "LayerCosine",
    "Measure",
    "MeasureTracer",
    "RandomTracer",
    "WeightDistance",
    "p_values",
    "parts_of",
]


def _method(
    name: str, measure: Measure, summary: str, paper: str = "", access: Access = Access.WEIGHTS, **presets: Measure
) -> Method:
    named: dict[str, object] = {"default": measure, **presets}
    return Method(name, MeasureTracer, named, access=access, summary=summary, paper=paper)


RANDOM_PARENTS = Method("random_parents", RandomTracer, baseline=True, learns=False, summary="Draws parents at random")
WEIGHT_DISTANCE = _method("weight_distance", WeightDistance(), "Takes the nearest weights for the parent")
MATCHED_DISTANCE = _method(
    "matched_distance",
    WeightDistance(matched=True),
    "Takes the nearest weights after matching units and balancing scales",
    "arXiv 2209.04836",
)
LAYER_COSINE = _method(
    "layer_cosine",
    LayerCosine(),
    "Takes the weights with the largest cosine, layer by layer",
    "arXiv 2312.04828",
    matched=LayerCosine(matched=True),
)
MOTHER = _method(
    "mother",
    WeightDistance("kurtosis"),
    "Nearest weights, and the direction in which kurtosis changes",
    "arXiv 2405.18432",
    matched=WeightDistance("kurtosis", matched=True),
)
PHYLOGENY = _method(
    "phylogeny",
    WeightDistance("fresh"),
    "Nearest weights; the older model is nearer to an initialization",
    "Yu & Wang, Neural Phylogeny, 2025",
    matched=WeightDistance("fresh", matched=True),
    norm=WeightDistance("norm"),
)
INDEPENDENCE = _method(
    "independence", Independence(), "Takes the smallest p-value of an exact test of independence", "arXiv 2502.12292"
)
CKA = _method("cka", Cka(), "Takes the most similar features on images", "arXiv 2410.14273", Access.IMAGES)
BEHAVIOUR = _method(
    "behaviour", Behaviour(), "Takes the most similar answers to images", "arXiv 2502.00706", Access.IMAGES
)
