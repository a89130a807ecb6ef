"""Exact derivatives of what a network answers after training by how much each training image counts in it.

The reference that influence functions approximate: plain automatic differentiation through every step, which keeps the
whole training in memory. Source: Ilyas & Engstrom, MAGIC, arXiv 2504.16430.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import margins
from zoo_generation.networks.program import norms_of
from zoo_generation.training.models import seen_images
from zoo_generation.training.optimizers import BETAS, EPS, momentum_of, rate_factors
from zoo_generation.training.randomness import order_generator
from zoo_generation.training.spec import ModelSpec
from zoobench.methods.protocols import InapplicableError


def metagradients(module: nn.Module, spec: ModelSpec, train: Images, asked: Images) -> Tensor:
    """The derivative of each asked image's margin after training by each training image's weight: [asked, images].

    module: before training, as `build_model` makes it; spec: how it is trained, as by `train_model`; a weight of 1 for
    each image multiplies its loss, and 0 leaves it out of its batches. Everything is in the precision of the images.
    Takes about as long for each asked image as the training. Raises `InapplicableError` for training with dropout,
    augmentation or BatchNorm.
    """
    counted = torch.ones(len(train.labels), dtype=train.images.dtype, requires_grad=True)
    parameters = trained(module, spec, train, counted)
    outputs = margins(functional_call(module, dict(parameters), (asked.images,)), asked.labels)
    return torch.stack([torch.autograd.grad(each, counted, retain_graph=True)[0] for each in outputs])


def trained(module: nn.Module, spec: ModelSpec, train: Images, weights: Tensor) -> Mapping[str, Tensor]:
    """The parameters after training, by name, as functions of each image's weight [images] in the loss."""
    if spec.dropout or spec.augment or norms_of(module):
        raise InapplicableError("metagradients need training without dropout, augmentation and BatchNorm")
    module = module.to(weights.dtype)
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    values = [module.get_parameter(name).detach().clone().requires_grad_() for name in names]
    means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
    seen, generator = seen_images(spec, len(train.labels)), order_generator(spec)
    count = math.ceil(len(seen) / spec.batch_size) * spec.epochs
    factors, step = iter(rate_factors(spec.schedule, count)), 0
    for _ in range(spec.epochs):
        for chosen in seen[torch.randperm(len(seen), generator=generator)].split(spec.batch_size):
            step, rate = step + 1, spec.learning_rate * next(factors)
            logits = functional_call(module, dict(zip(names, values, strict=True)), (train.images[chosen],))
            losses = F.cross_entropy(logits, train.labels[chosen], reduction="none")
            loss = (losses * weights[chosen]).mean()
            gradients = torch.autograd.grad(loss, values, create_graph=True)
            gradients = tuple(each + spec.weight_decay * value for each, value in zip(gradients, values, strict=True))
            if spec.optimizer == "adam":
                means, squares, changes = _adam(gradients, means, squares, step)
            else:
                changes = means = [momentum_of(spec) * mean + each for mean, each in zip(means, gradients, strict=True)]
            values = [value - rate * change for value, change in zip(values, changes, strict=True)]
    return dict(zip(names, values, strict=True))


def _adam(
    gradients: tuple[Tensor, ...], means: list[Tensor], squares: list[Tensor], step: int
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Adam's new means and squares, and what it moves parameters by at a rate of 1."""
    first, second = (1 - beta**step for beta in BETAS)
    means = [BETAS[0] * mean + (1 - BETAS[0]) * each for mean, each in zip(means, gradients, strict=True)]
    squares = [BETAS[1] * square + (1 - BETAS[1]) * each**2 for square, each in zip(squares, gradients, strict=True)]
    changes = [(mean / first) / (_root(square / second) + EPS) for mean, square in zip(means, squares, strict=True)]
    return means, squares, changes


def _root(values: Tensor) -> Tensor:
    """Square roots, whose derivative at 0 is 0: there, as at a pixel that is always black, no image has a say."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
