"""Counts of a running build. Imports no torch, so that the counting process stays small."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """Counts of a build at one moment.

    done: models that ended, of which `diverged` and `at_chance`; begun: completed share of the models in training, in
    models; epoch: the latest that one of these has completed; mean_accuracy: mean validation accuracy in [0, 1] of the
    models that ended, NaN if there are none.
    """

    done: int
    diverged: int
    at_chance: int
    begun: float
    epoch: int
    mean_accuracy: float

    @property
    def numbers(self) -> dict[str, float]:
        """Numbers to show beside a bar, by name."""
        return {} if math.isnan(self.mean_accuracy) else {"validation accuracy": self.mean_accuracy}

    @property
    def note(self) -> str:
        """A note for the user, such as `epoch 3, 2 at chance`."""
        parts = [f"epoch {self.epoch}"] if self.epoch else []
        parts += [f"{self.at_chance} at chance"] if self.at_chance else []
        parts += [f"{self.diverged} diverged"] if self.diverged else []
        return ", ".join(parts)


class Counts:
    """Counts models and epochs that workers report. A shard that is trained again counts once."""

    def __init__(self) -> None:
        self._training: dict[str, tuple[int, int]] = {}
        self._accuracies: dict[str, float] = {}
        self._statuses: dict[str, str] = {}

    def epoch(self, model: str, epoch: int, epochs: int, accuracy: float) -> None:
        """Count a model's epoch, `epoch` of `epochs`. accuracy: on validation images, NaN if unknown."""
        self._training[model] = (epoch, epochs)
        if not math.isnan(accuracy):
            self._accuracies[model] = accuracy

    def finished(self, model: str, status: str) -> None:
        """Count a model that has ended."""
        self._training.pop(model, None)
        self._statuses[model] = status

    def snapshot(self) -> Snapshot:
        """The counts at this moment."""
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
