"""How many steps a training takes, and when it looks at validation windows meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from zoobench.methods.learning.training import LOOKS, spent
from zoobench.methods.sane.config import SaneConfig
from zoobench.populations import Population

MOST_BATCHES = 8  # of validation windows per look
LOOKING = 0.05  # share of the time, at most, that looks take
BACKWARD = 3  # times as long as a look at a batch, which has no backward pass, takes a step
WARMING, MEASURED = 2, 8  # steps: before the clock starts, and while it runs


def epoch_steps(config: SaneConfig, populations: Sequence[Population]) -> float:
    """Steps of one pass over the tokens of the training set.

    A batch is `batch_size` windows, each of at most `window` tokens of a checkpoint; checkpoints are equally likely.
    """
    lengths = [(len(each), len(each.tokenizer)) for each in populations]
    tokens = sum(count * length for count, length in lengths)
    seen = sum(count * min(config.window, length) for count, length in lengths) / sum(count for count, _ in lengths)
    return tokens / (config.batch_size * seen)


def steps_of(config: SaneConfig, populations: Sequence[Population], step_seconds: Callable[[], float]) -> int:
    """The number of steps of a training. step_seconds: measures the core-seconds of a step, if that is needed."""
    if config.epochs is not None:
        return max(1, math.ceil(config.epochs * epoch_steps(config, populations)))
    if config.core_seconds is not None:
        return max(1, int(config.core_seconds / (step_seconds() * (1 + LOOKING))))
    return config.steps


def measured(step: Callable[[], object], device: torch.device) -> float:
    """Core-seconds of a step, from a few of them."""
    for _ in range(WARMING):
        step()
    started = spent(device)
    for _ in range(MEASURED):
        step()
    return max(1e-6, (spent(device) - started) / MEASURED)


def batches_of_look(steps: int) -> int:
    """Batches of validation windows per look: as many as that share of the time allows, one at least."""
    return max(1, min(MOST_BATCHES, int(LOOKING * BACKWARD * steps / LOOKS)))
