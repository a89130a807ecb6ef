"""Methods that make one model of several, of one architecture: means, least squares on layer inputs, task vectors."""

from collections.abc import Mapping

from zoobench.methods.merging.average import Average, GreedySoup
from zoobench.methods.merging.fisher import FisherMean
from zoobench.methods.merging.members import GroupMerger
from zoobench.methods.merging.regression import Pleas, RegMean, RegMeanPlus
from zoobench.methods.merging.repair import Repair
from zoobench.methods.merging.task_vectors import Dare, TaskArithmetic, Ties, Wudi
from zoobench.methods.method import Method
from zoobench.populations import Access

__all__ = [
    "Average",
    "Dare",
    "FisherMean",
    "GreedySoup",
    "Pleas",
    "RegMean",
    "RegMeanPlus",
    "Repair",
    "TaskArithmetic",
    "Ties",
    "Wudi",
]


def _merger(
    name: str,
    kind: type[GroupMerger],
    presets: Mapping[str, GroupMerger],
    access: Access,
    summary: str,
    paper: str,
    *,
    random: bool = False,
) -> Method:
    """A method that learns nothing; without a preset `default`, the class's own is the first."""
    made = presets if "default" in presets else {"default": kind(), **presets}
    return Method(name, kind, made, random=random, learns=False, access=access, summary=summary, paper=paper)


REGMEAN = _merger(
    "regmean",
    RegMean,
    {
        "diagonal": RegMean(alpha=0.0),
        "alpha_10": RegMean(alpha=0.1),
        "alpha_50": RegMean(alpha=0.5),
        "alpha_95": RegMean(alpha=0.95),
        "full": RegMean(alpha=1.0),
        "published": RegMean(bias=False),
        "matched": RegMean(matched=True),
    },
    Access.STATISTICS,
    "Merges layers by least squares on each model's own inputs",
    "arXiv 2212.09849",
)
REGMEAN_PLUS = _merger(
    "regmean_plus",
    RegMeanPlus,
    {"matched": RegMeanPlus(matched=True)},
    Access.STATISTICS,
    "As regmean, on the inputs that layers have in the merged model",
    "arXiv 2508.03121",
)
PLEAS = _merger(
    "pleas",
    Pleas,
    {"unmatched": Pleas(matched=False)},
    Access.IMAGES,
    "Matches units, then fits layers to the mean of inputs and outputs",
    "arXiv 2407.02447",
)
FISHER = _merger(
    "fisher",
    FisherMean,
    {"predicted": FisherMean(classes="predicted"), "matched": FisherMean(matched=True)},
    Access.IMAGES,
    "Merges models by a mean weighted by Fisher information",
    "arXiv 2111.09832",
)
EMPIRICAL_FISHER = _merger(
    "empirical_fisher",
    FisherMean,
    {"default": FisherMean(classes="true"), "matched": FisherMean(matched=True, classes="true")},
    Access.LABELS,
    "As fisher, with squared gradients of the loss",
    "arXiv 2111.09832",
)
GREEDY_SOUP = _merger(
    "greedy_soup",
    GreedySoup,
    {"matched": GreedySoup(matched=True)},
    Access.LABELS,
    "Merges the models that help on validation images by their mean",
    "arXiv 2203.05482",
)
TASK_ARITHMETIC = _merger(
    "task_arithmetic",
    TaskArithmetic,
    {"scale_50": TaskArithmetic(0.5), "scale_70": TaskArithmetic(0.7), "scale_100": TaskArithmetic(1.0)},
    Access.WEIGHTS,
    "Adds what training changed to the weights that all started from",
    "arXiv 2212.04089",
)
TIES = _merger(
    "ties",
    Ties,
    {"keep_50": Ties(keep=0.5), "keep_100": Ties(keep=1.0)},
    Access.WEIGHTS,
    "As task_arithmetic, with the largest changes whose signs agree",
    "arXiv 2306.01708",
)
DARE = _merger(
    "dare",
    Dare,
    {"half": Dare(drop=0.5), "ties": Dare(drop=0.5, scale=1.0, then="ties")},
    Access.WEIGHTS,
    "As task_arithmetic, with most changes dropped by chance",
    "arXiv 2311.03099",
    random=True,
)
WUDI = _merger(
    "wudi", Wudi, {}, Access.WEIGHTS, "As regmean, with what training changed in place of inputs", "arXiv 2503.08099"
)
REPAIR = _merger(
    "repair",
    Repair,
    {name.replace("-", "_"): Repair(name) for name in ("average", "regmean", "regmean-matched", "task_arithmetic")},
    Access.STATISTICS,
    "Merges, then gives units the mean and deviation of the models' own",
    "arXiv 2211.08403",
)
REPAIR_PLEAS = _merger(
    "repair_pleas", Repair, {"default": Repair("pleas")}, Access.IMAGES, "As pleas, then repair", "arXiv 2211.08403"
)
