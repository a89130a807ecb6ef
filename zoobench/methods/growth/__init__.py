"""Methods that make large models of small trained ones, of more units or layers, to be trained further."""

from dataclasses import replace

from zoobench.methods.growth.copying import Aki, LayerInterleaving, LayerStacking, Net2Net, RandomPadding, Scratch
from zoobench.methods.growth.inheritance import KnowledgeInheritance
from zoobench.methods.growth.ligo import Ligo
from zoobench.methods.growth.mango import Mango
from zoobench.methods.method import Method
from zoobench.populations import Access

__all__ = [
    "Aki",
    "KnowledgeInheritance",
    "LayerInterleaving",
    "LayerStacking",
    "Ligo",
    "Mango",
    "Net2Net",
    "RandomPadding",
    "Scratch",
]

WEIGHTS, LABELS = Access.WEIGHTS, Access.LABELS


def _grower(name: str, access: Access, summary: str, paper: str, /, **presets: object) -> Method:
    """A method that learns nothing beforehand; its first preset is its default."""
    kind = type(presets["default"])
    return Method(name, kind, presets, learns=False, access=access, summary=summary, paper=paper)  # type: ignore[arg-type]


NET2NET = _grower(
    "net2net",
    WEIGHTS,
    "Copies units and adds layers that change nothing",
    "arXiv 1511.05641",
    default=Net2Net(),
    exact=Net2Net(noise=0.0),
    uneven=Net2Net(noise=0.0, shares="uneven"),
)
LIGO = _grower(
    "ligo", LABELS, "Learns which sums of units and layers are the new ones", "arXiv 2303.00980", default=Ligo()
)
MANGO = _grower(
    "mango",
    LABELS,
    "As ligo, with one operator on all layers together",
    "arXiv 2310.10699",
    default=Mango(),
    rank_2=Mango(rank=2),
)
AKI = _grower("aki", WEIGHTS, "Makes new units of the next layer's", "arXiv 2110.07143", default=Aki())
STACK = _grower(
    "stack",
    WEIGHTS,
    "Copies layers, all in order and then all again",
    "https://proceedings.mlr.press/v97/gong19a.html",
    default=LayerStacking(),
)
INTERLEAVE = _grower(
    "interleave", WEIGHTS, "Copies layers, each beside its copies", "arXiv 1710.10348", default=LayerInterleaving()
)
RANDOM_PADDING = _grower(
    "random_padding", WEIGHTS, "Puts the small weights among new ones", "arXiv 1511.05641", default=RandomPadding()
)
KNOWLEDGE_INHERITANCE = _grower(
    "knowledge_inheritance",
    LABELS,
    "New models, taught by the small ones at first",
    "arXiv 2105.13880",
    default=KnowledgeInheritance(),
)
SCRATCH = replace(_grower("scratch", WEIGHTS, "New models, which know nothing", "", default=Scratch()), baseline=True)
