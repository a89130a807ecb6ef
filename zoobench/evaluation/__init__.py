"""The one engine: it fits and measures the pieces of a plan, caches them by content, and collects the results."""

from zoobench.evaluation.evaluate import evaluate, fitted, training_set_of
from zoobench.evaluation.plan import Cell, Fit, Origin, Plan, TrainingSet
from zoobench.evaluation.results import Results
from zoobench.evaluation.runner import run

__all__ = [
    "Cell",
    "Fit",
    "Origin",
    "Plan",
    "Results",
    "TrainingSet",
    "evaluate",
    "fitted",
    "run",
    "training_set_of",
]
