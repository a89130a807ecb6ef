"""How far a build is. Holds no torch, so that the process that counts stays small."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Counts of a build; `training` maps a model in training to (epochs done, validation accuracy so far)."""

    done: int = 0
    diverged: int = 0
    training: dict[str, tuple[int, float]] = field(default_factory=dict)
    accuracies: list[float] = field(default_factory=list)

    def epoch(self, model: str, epoch: int, accuracy: float) -> None:
        self.training[model] = (epoch, accuracy)

    def finished(self, model: str, accuracy: float) -> None:
        """A model has ended, with its last validation accuracy: not a number where it diverged."""
        self.training.pop(model, None)
        self.done += 1
        if math.isnan(accuracy):
            self.diverged += 1
        else:
            self.accuracies.append(accuracy)

    def snapshot(self) -> Progress:
        return self

    @property
    def epochs(self) -> int:
        """Epochs done of the models in training."""
        return sum(epoch for epoch, _ in self.training.values())

    @property
    def mean_accuracy(self) -> float:
        """Mean validation accuracy of the models that ended, in [0, 1]."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else math.nan
