"""What the populations of a zoo look like, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo_generation.text import shown
from zoobench.zoo.inspection import BINS, PopulationReport


def plot(populations: Sequence[PopulationReport], path: Path) -> None:
    """Write a PNG with a row of panels a population: histogram of test accuracies, and their mean ± std over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    rows = max(1, len(populations))
    figure, axes = plt.subplots(rows, 2, figsize=(10, 2.6 * rows), squeeze=False, layout="constrained")
    for (left, right), population in zip(axes, populations, strict=False):
        left.stairs(population.accuracy_histogram, np.linspace(0, 1, BINS + 1), fill=True)
        left.yaxis.set_major_locator(MaxNLocator(integer=True))
        left.set(xlabel="test accuracy, last checkpoints", ylabel="models", xlim=(0, 1))
        epochs = [each.epoch for each in population.accuracy_by_epoch]
        mean = np.array([each.mean for each in population.accuracy_by_epoch])
        std = np.array([each.std or 0.0 for each in population.accuracy_by_epoch])
        right.plot(epochs, mean, marker="o")
        right.fill_between(epochs, mean - std, mean + std, alpha=0.3)
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
        for panel in (left, right):
            panel.set_title(shown(population.title)[:60], parse_math=False)
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
