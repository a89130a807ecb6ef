"""Which training images a model saw: thresholds on what it answers, likelihood ratios by other models, and chance."""

from zoobench.methods.membership.likelihood import LikelihoodRatio
from zoobench.methods.membership.thresholds import (
    ConfidenceThreshold,
    GradientNorm,
    LossThreshold,
    RandomMembership,
)
from zoobench.methods.method import Method
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Access

__all__ = ["ConfidenceThreshold", "GradientNorm", "LikelihoodRatio", "LossThreshold", "RandomMembership"]


def _reader(name: str, summary: str, paper: str, *presets: Unlearned, baseline: bool = False) -> Method:
    """A method that learns nothing beforehand, and sees images with labels."""
    every = dict(zip(("default", "offline"), presets, strict=False))
    random = isinstance(presets[0], RandomMembership)
    runs, kind = not random, type(presets[0])
    return Method(name, kind, every, baseline, random, False, Access.LABELS, runs, summary=summary, paper=paper)


RANDOM_MEMBERSHIP = _reader("random_membership", "Says by chance what was seen", "", RandomMembership(), baseline=True)
LOSS_THRESHOLD = _reader("loss_threshold", "Small losses", "arXiv 1709.01604", LossThreshold(), baseline=True)
CONFIDENCE_THRESHOLD = _reader(
    "confidence_threshold", "High probabilities, of whichever class", "arXiv 1806.01246", ConfidenceThreshold()
)
GRADIENT_NORM = _reader("gradient_norm", "Small gradients", "arXiv 1812.00910", GradientNorm())
LIRA = _reader(
    "lira",
    "Margins as likely with an image as without, by other models",
    "arXiv 2112.03570",
    LikelihoodRatio(),
    LikelihoodRatio(online=False),
)
