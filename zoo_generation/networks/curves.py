"""Whether two networks are connected: the error along a quadratic Bézier curve that is trained between their weights.

Sources: Garipov et al., arXiv 1802.10026, section 3, the curve and its training; Yang et al., arXiv 2107.11228, the
connectivity. Pairs run in a stack, as models do in training, or one by one if their network cannot be stacked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.gradients import positions
from zoo_generation.networks.program import Program
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.progress import QUIET, Progress

PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where on a curve the error is measured."""

MOMENTUM = 0.9
FLAT, END = 0.5, 0.9  # shares of the steps, between which the rate falls
LAST_RATE = 0.01  # the rate from the latter on, as a share of the first
GPU_LAYERS = 16  # by which a GPU takes fewer pairs than evaluation does, since all layers' outputs stay in memory


@dataclass(frozen=True)
class CurveTraining:
    """How the middle of a curve is trained: stochastic gradient descent with momentum 0.9.

    decay: of half the squared norm of the point on the curve, which is added to the loss.
    """

    epochs: int = 10
    batch: int = 128
    rate: float = 0.1
    decay: float = 5e-4


def mode_connectivity(
    starts: Tensor,
    ends: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    *,
    training: CurveTraining | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> Tensor:
    """The connectivity of each pair of models, in per cent of error on the images: float64 [pairs].

    starts, ends: weights [pairs, D]; images: of training. It is the mean error of the two ends less the error at the
    place of the curve where these differ most: below 0 there is a barrier; near 0 the two are connected; above 0 the
    curve is better than its ends, which are not trained enough.
    """
    training = training or CurveTraining()
    middles = curve_middles(
        starts, ends, layout, module, images, training=training, seed=seed, device=device, progress=progress
    )
    points = torch.cat([point(starts, middles, ends, place) for place in PLACES])
    passes = math.ceil(len(images.labels) / training.batch)
    points = condition_batch_norm(points, layout, module, images, passes, training.batch, device)
    errors = 1 - accuracies(points, layout, module, images, device)
    return 100 * connectivity(errors.reshape(len(PLACES), -1).T)


def connectivity(errors: Tensor) -> Tensor:
    """The connectivity [pairs] of errors along curves [pairs, places], of which the first and the last are the ends.

    >>> connectivity(torch.tensor([[0.1, 0.2, 0.4, 0.2, 0.1], [0.4, 0.2, 0.1, 0.2, 0.4]]))
    tensor([-0.3000,  0.3000])
    """
    ends = (errors[:, 0] + errors[:, -1]) / 2
    above = errors - ends[:, None]
    farthest = above.gather(1, above.abs().argmax(1, keepdim=True))[:, 0]
    return -farthest


def point(starts: Tensor, middles: Tensor, ends: Tensor, place: float) -> Tensor:
    """The points [pairs, D] of quadratic Bézier curves at a place in [0, 1]."""
    return (1 - place) ** 2 * starts + 2 * place * (1 - place) * middles + place**2 * ends


def curve_middles(
    starts: Tensor,
    ends: Tensor,
    layout: Layout,
    module: nn.Module,
    images: Images,
    *,
    training: CurveTraining,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> Tensor:
    """The middle points [pairs, D] of curves between weights [pairs, D], trained from halfway between the ends.

    Each batch lowers the loss at one place of every curve. Places and the order of the images depend on the seed alone,
    so that no pair depends on the others. BatchNorm uses the statistics of the batch. The rate is constant for half of
    the steps, falls to a hundredth until nine tenths, and stays there.
    """
    shown, labels = images.images.to(device), images.labels.to(device)
    program = Program(module, layout, shown[:1], device)
    at_once = program.chunks(shown[:1]).models
    trained = positions(layout, module).to(device)
    step, found = progress.stage("curves"), []
    for rows in torch.arange(len(starts)).split(at_once if device == "cpu" else max(1, at_once // GPU_LAYERS)):
        begin, end = starts[rows].to(device), ends[rows].to(device)
        middle, speed = (begin + end) / 2, torch.zeros(len(rows), len(trained), device=device)
        generator = torch.Generator().manual_seed(seed)
        steps, done = training.epochs * math.ceil(len(labels) / training.batch), 0
        with seeded(EVALUATION_SEED, device), torch.enable_grad():
            for _ in range(training.epochs):
                order = torch.randperm(len(labels), generator=generator).to(device)
                for chosen in order.split(training.batch):
                    place = float(torch.rand((), generator=generator))
                    here = point(begin, middle, end, place)
                    slope = _slope(program, here, shown[chosen], labels[chosen])[:, trained]
                    slope += training.decay * here[:, trained]
                    speed = MOMENTUM * speed + 2 * place * (1 - place) * slope
                    middle[:, trained] -= training.rate * _share_of_rate(done / steps) * speed
                    done += 1
        found.append(middle.cpu())
        step(int(rows[-1]) + 1, len(starts))
    return torch.cat(found)


def _share_of_rate(done: float) -> float:
    """The rate as a share of the first, after that share of the steps."""
    return 1 - (1 - LAST_RATE) * min(1.0, max(0.0, (done - FLAT) / (END - FLAT)))


def _slope(program: Program, weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """The gradients [models, D] of each model's mean cross-entropy in training mode; 0 where nothing is trained."""
    if program.stack is None:
        rows = [_slope_alone(program, each[None], images, labels) for each in weights]
        return torch.cat(rows)
    program.load(weights)
    parameters = {name: program.state[name].requires_grad_() for name in program.stack.trained}
    logits = program.stack(program.state, images.permute(1, 2, 3, 0)[None].contiguous(), training=True)
    return _flat(logits, parameters, labels, weights, program.layout)


def _slope_alone(program: Program, weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    program.load(weights)
    program.module.train()
    free = {name: value for name, value in program.module.named_parameters() if value.requires_grad}
    return _flat(program.module(images).T[None], free, labels, weights, program.layout)


def _flat(logits: Tensor, parameters: Mapping[str, Tensor], labels: Tensor, weights: Tensor, layout: Layout) -> Tensor:
    """Derivatives by parameters, each at its place in the flat vectors, of the mean cross-entropy of logits [models,
    classes, batch]."""
    loss = F.cross_entropy(logits, labels.expand(len(logits), -1), reduction="none").mean(1).sum()
    values = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    flat = torch.zeros_like(weights)
    for name, value in zip(parameters, values, strict=True):
        if value is not None:
            flat[:, layout[name].span] = value.reshape(len(weights), -1)
    return flat
