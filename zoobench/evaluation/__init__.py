"""Accuracy of many models, given as flat weights, on images."""

from zoobench.evaluation.accuracy import accuracies, condition_batch_norm, evaluate
from zoobench.evaluation.images import Images, build_module, images_of, runnable_module
from zoobench.evaluation.stacking import device_of, with_ties

__all__ = [
    "Images",
    "accuracies",
    "build_module",
    "condition_batch_norm",
    "device_of",
    "evaluate",
    "images_of",
    "runnable_module",
    "with_ties",
]
