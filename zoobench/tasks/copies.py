"""Copies of models that their makers may want to hide, or did not mean to be told from the originals.

Sources: pruned, quantised and merged models are leaves and joints of model trees in Horwitz et al., arXiv 2503.10633;
noise and pruning are the attacks of lineage detectors; exact evasions are those of Zhu et al., arXiv 2502.12292.
Training commutes with permutations and flips, if its optimizer treats each weight alike: to evade and then train is to
train and then evade. A model that is distilled from another one (Hinton et al., arXiv 1503.02531) answers as that one
does, and has none of its weights.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.methods.teaching import Teaching
from zoobench.populations import Population
from zoobench.populations.logits import logits_of
from zoobench.populations.symmetries import groups_of
from zoobench.populations.target import Target

Way = Literal["pruned_30", "pruned_60", "pruned_90", "bits_8", "bits_4", "noise_5", "noise_20", "merged", "evaded"]
"""How a copy is made: without that percentage of the weights of each matrix, the smallest; with so many bits a weight;
with noise of that percentage of each tensor's deviation; as the mean with another model; by a symmetry drawn at random:
permutations, flips, and scales where there are such."""

WAYS: tuple[Way, ...] = get_args(Way)

SCALES = 0.5
"""Deviation of the logarithms of an evasion's scales."""


STEPS, BATCH, LEARNING_RATE = 400, 32, 0.003
"""Of distillation, as `imitation` copies by default."""


def copied(models: Population, way: Way, others: Tensor, seed: int) -> Tensor:
    """Copies [models, D] of models, made in one way.

    others: weights [models, D] that each is merged with. Noise and symmetries are drawn from the seed; a model without
    symmetries cannot evade, and stays as it is.
    """
    kind, _, amount = way.partition("_")
    generator = torch.Generator().manual_seed(seed)
    if kind == "merged":
        return (models.weights + others) / 2
    if kind == "evaded":
        index, factor = random_symmetries(models.layout, groups_of(models), len(models), generator, scales=SCALES)
        return models.weights.gather(1, index) * factor
    copies = models.weights.clone()
    for entry in models.layout:
        if "running_" in entry.name:
            continue
        part = copies[:, entry.span]
        if kind == "noise":
            part += int(amount) / 100 * part.std(1, correction=0, keepdim=True) * _normal(part, generator)
        elif kind == "bits":
            step = part.abs().amax(1, keepdim=True) / (2 ** (int(amount) - 1) - 1)
            part.copy_((part / step.clamp(min=torch.finfo(part.dtype).tiny)).round() * step)
        elif len(entry.shape) > 1:
            smallest = part.abs().argsort(dim=1)[:, : round(int(amount) / 100 * entry.numel)]
            part.scatter_(1, smallest, 0.0)
    return copies


def distilled(models: Population, images: Tensor, seed: int) -> Tensor:
    """Models [models, D] that were initialized anew, and trained on the probabilities that given ones have of some
    images [images, channels, size, size], for `STEPS` steps of Adam or as many more as whole passes take."""
    fresh = models.with_weights(Target.unseen(models).new_models(len(models), seed))
    teaching = Teaching(-(-STEPS * BATCH // len(images)), LEARNING_RATE, 0.0, BATCH, "adam")
    shown = Images(images, torch.zeros(len(images), dtype=torch.int64))
    return teaching.taught(fresh, logits_of(models, images).softmax(2), shown, seed)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
