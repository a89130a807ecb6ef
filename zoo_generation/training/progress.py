"""How far a build is. Holds no torch, so that the process that counts stays small."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """Counts of a build: models that ended, how much of those in training is done in models, mean validation accuracy
    in [0, 1] of those that ended."""

    done: int
    diverged: int
    at_chance: int
    begun: float
    epoch: int
    mean_accuracy: float


class Progress:
    """Counts what workers tell of. A shard that is trained again, because its worker died, counts once."""

    def __init__(self) -> None:
        self._training: dict[str, tuple[int, int]] = {}
        self._accuracies: dict[str, float] = {}
        self._statuses: dict[str, str] = {}

    def epoch(self, model: str, epoch: int, epochs: int, accuracy: float) -> None:
        """A model has done `epoch` of its `epochs`; its validation accuracy, not a number where it is not known."""
        self._training[model] = (epoch, epochs)
        if not math.isnan(accuracy):
            self._accuracies[model] = accuracy

    def finished(self, model: str, status: str) -> None:
        """A model has ended."""
        self._training.pop(model, None)
        self._statuses[model] = status

    def snapshot(self) -> Snapshot:
        """The counts of now."""
        statuses = list(self._statuses.values())
        accuracies = [self._accuracies[model] for model in self._statuses if model in self._accuracies]
        return Snapshot(
            done=len(statuses),
            diverged=statuses.count("diverged"),
            at_chance=statuses.count("at_chance"),
            begun=sum(epoch / epochs for epoch, epochs in self._training.values()),
            epoch=max((epoch for epoch, _ in self._training.values()), default=0),
            mean_accuracy=sum(accuracies) / len(accuracies) if accuracies else math.nan,
        )
