"""Decide whether an imported model is trained, at chance, or diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo_generation.data.registry import find_dataset
from zoo_generation.training.sink import Status
from zoobench.zoo.schema import METRICS
from zoobench.zoo.sink import Row

CHANCE = 1.5
"""A model whose accuracy is at most this multiple of guessing is at chance. The rule for models built here depends on
the number of images, which is not known for imported ones."""

LOSSES = [name for name in METRICS if name.endswith("_loss")]

History = Sequence[tuple[int | None, Row]]
"""Epochs, if they are known, and `METRICS` measured after them, in order."""


def status_of(history: History, weights: Sequence[tuple[int, bool]], dataset: str, classes: int) -> Status:
    """`diverged` if the last recorded weights or losses are not finite, `at_chance` by the last accuracy, else
    `trained`.

    weights: epochs, in order, and whether the weights after them are finite. classes: outputs of the model. The last
    accuracy is that of validation, or of the test if validation was not measured; see `CHANCE`.
    """
    entry = find_dataset(dataset)
    guessed = 1 / max(2, min(classes, entry.class_count if entry else classes))
    if _weights_diverged(history, weights) or _losses_diverged(history, weights, CHANCE * guessed):
        return "diverged"
    for name in ("val_accuracy", "test_accuracy"):
        if known := [metrics[name] for _, metrics in history if metrics[name] is not None]:
            return "trained" if known[-1] > CHANCE * guessed else "at_chance"
    return "trained"


def _weights_diverged(history: History, weights: Sequence[tuple[int, bool]]) -> bool:
    """Whether the last weights are not finite, unless their loss is finite: then the file is damaged."""
    if not weights or weights[-1][1]:
        return False
    return not any(epoch == weights[-1][0] and _is_measured(metrics) for epoch, metrics in history)


def _is_measured(metrics: Row) -> bool:
    losses = [metrics[name] for name in LOSSES if metrics[name] is not None]
    return bool(losses) and all(map(math.isfinite, losses))


def _losses_diverged(history: History, weights: Sequence[tuple[int, bool]], chance: float) -> bool:
    """By the last row with a loss. NaN may also mean not measured: it counts if all losses are NaN and the model was no
    better than guessing, or, if that is not known, if no weights from then on are finite."""
    measured = [(epoch, row) for epoch, row in history if any(row[name] is not None for name in LOSSES)]
    if not measured:
        return False
    epoch, metrics = measured[-1]
    losses = [metrics[name] for name in LOSSES if metrics[name] is not None]
    if any(map(math.isinf, losses)):
        return True
    if not all(map(math.isnan, losses)):
        return False
    accuracies = [metrics[name] for name in METRICS if name.endswith("_accuracy") and metrics[name] is not None]
    if accuracies:
        return max(accuracies) <= chance
    return not any(finite and (epoch is None or after >= epoch) for after, finite in weights)
