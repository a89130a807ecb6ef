"""Adam and SGD for many models at once: elementwise, each model with its own learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from zoo_generation.training.fields import Schedule
from zoo_generation.training.spec import ModelSpec

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPS = 1e-8
VECTORS = 64  # elements, a multiple of what unrolled vector code takes at once


def momentum_of(spec: ModelSpec) -> float:
    """The momentum of a spec's SGD."""
    return MOMENTUM if spec.momentum is None else spec.momentum


def rate_factors(schedule: Schedule, steps: int) -> list[float]:
    """The factors of the learning rate, one per step; OneCycle is PyTorch's, with its defaults."""
    if schedule == "constant":
        return [1.0] * steps
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
    cycle = OneCycleLR(optimizer, 1.0, total_steps=steps, cycle_momentum=False)
    factors = []
    for _ in range(steps):
        factors.append(float(cycle.get_last_lr()[0]))
        optimizer.step()
        if len(factors) < steps:
            cycle.step()
    return factors


@torch.no_grad()
def average(means: Sequence[Tensor], values: Sequence[Tensor], kept: float) -> None:
    """Move exponential moving averages, in place, towards the values; `kept` is the share of themselves they keep.

    They are the slow weights of Stojanovski et al., arXiv 2211.03186.
    """
    for mean, value in zip(means, values, strict=True):
        mean.lerp_(value, 1 - kept)


class StackedOptimizer:
    """`torch.optim.Adam` or `torch.optim.SGD` with momentum for parameters [models, *shape], one spec per model."""

    def __init__(self, parameters: Sequence[Tensor], specs: Sequence[ModelSpec]) -> None:
        self.parameters = parameters
        self.adam, self.momentum = specs[0].optimizer == "adam", momentum_of(specs[0])
        flat = self._flat(parameters)
        self.rate = self._each([spec.learning_rate for spec in specs])
        decay = self._each([spec.weight_decay for spec in specs])
        self.decay = decay if bool(decay.any()) else None
        self.mean = torch.zeros_like(flat)
        self.square = torch.zeros_like(flat)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float) -> None:
        """One step, with learning rates times `factor`."""
        self.steps += 1
        gradient = self._flat(gradients)
        if self.decay is not None:
            gradient.addcmul_(self._flat(self.parameters), self.decay)
        change = self._adam(gradient) if self.adam else self._sgd(gradient)
        change.mul_(self.rate).mul_(factor)
        start = 0
        for parameter in self.parameters:
            parameter.sub_(change[start : start + parameter.numel()].view_as(parameter))
            start += parameter.numel()

    def _adam(self, gradient: Tensor) -> Tensor:
        """Kingma & Ba, arXiv 1412.6980, algorithm 1."""
        self.mean.lerp_(gradient, 1 - BETAS[0])
        self.square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        first, second = (1 - beta**self.steps for beta in BETAS)
        return (self.mean / first).div_((self.square / second).sqrt_().add_(EPS))

    def _sgd(self, gradient: Tensor) -> Tensor:
        return self.mean.mul_(self.momentum).add_(gradient).clone()

    def _flat(self, values: Sequence[Tensor]) -> Tensor:
        """Values end to end, filled up to whole vectors, because the rest of a vector is rounded by other code."""
        flat = [value.reshape(-1) for value in values]
        return torch.cat([*flat, flat[0].new_zeros(-sum(len(value) for value in flat) % VECTORS)])

    def _each(self, values: Sequence[float]) -> Tensor:
        """Each model's value, repeated for each of its elements."""
        column = torch.tensor(values, device=self.parameters[0].device)[:, None]
        return self._flat([column.expand(len(values), parameter[0].numel()) for parameter in self.parameters])
