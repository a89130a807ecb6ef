"""Evaluate checkpoints of a zoo again, and compare the results with the recorded metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from torch import nn

from zoo_generation.data.images import Images
from zoo_generation.data.load import inputs_of
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import State, build_module, load
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.single import evaluate
from zoobench.zoo import POPULATION, Zoo
from zoobench.zoo.inspection import population_title

IMAGES = 2  # images that float kernels may classify differently
SHARE = 0.002  # the same, as a share of many images
LOSS = 0.01  # nats, and as a share of the loss: the possible effect of coarser arithmetic on a GPU

Split = Literal["test", "val"]
SPLITS: tuple[Split, ...] = ("test", "val")
"""Training images are left out: they are many more, and their accuracies come from the same evaluation."""


@dataclass(frozen=True)
class Recomputed:
    """Accuracy in [0, 1] and mean cross-entropy, nats, of a checkpoint on the images of a split: recorded (None if the
    zoo does not record them) and recomputed."""

    population: str
    model_id: str
    epoch: int
    split: Split
    images: int
    recorded: float | None
    recomputed: float
    recorded_loss: float | None
    recomputed_loss: float

    @property
    def difference(self) -> float | None:
        """The recomputed accuracy less the recorded one; None if none is recorded."""
        return None if self.recorded is None else self.recomputed - self.recorded

    @property
    def accuracy_agrees(self) -> bool:
        """Whether the accuracies differ by at most `IMAGES` images or `SHARE`; true if none is recorded."""
        allowed = max(IMAGES / self.images, SHARE) + 1e-9  # of rounding
        return self.difference is None or abs(self.difference) <= allowed

    @property
    def agrees(self) -> bool:
        """Whether the accuracies agree, and the losses within `LOSS`; a loss that is not finite is not compared."""
        if self.recorded_loss is None or not math.isfinite(self.recomputed_loss):
            return self.accuracy_agrees
        return self.accuracy_agrees and math.isclose(
            self.recorded_loss, self.recomputed_loss, rel_tol=LOSS, abs_tol=LOSS
        )


@dataclass(frozen=True)
class Recomputation:
    """Checkpoints evaluated again; and why those of a population could not be, by its name."""

    results: tuple[Recomputed, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


def evaluate_again(
    zoo: Zoo, count: int, seed: int = 0, data_root: Path | None = None, progress: Progress = QUIET
) -> Recomputation:
    """Evaluate `count` of the zoo's checkpoints, drawn with the seed, on their test and validation images.

    Raises `InputError` if the zoo is damaged.
    """
    step = progress.stage("evaluating checkpoints")
    drawn = zoo.checkpoints.sample(min(count, len(zoo.checkpoints)), random_state=seed)
    results: list[Recomputed] = []
    failures: list[tuple[str, str]] = []
    done = 0
    for _, rows in drawn.sort_values([*POPULATION, "model_id", "epoch"]).groupby(POPULATION, sort=False):
        try:
            for of_checkpoint in _population(zoo, rows, data_root):
                results += of_checkpoint
                done += 1
                step(done, len(drawn))
        except InputError as error:
            failures.append((_title(rows.iloc[0]), str(error)))
    return Recomputation(tuple(results), tuple(failures))


def _population(zoo: Zoo, rows: pd.DataFrame, data_root: Path | None) -> Iterator[list[Recomputed]]:
    weights, layout = zoo.weights(rows)
    for (_, row), flat in zip(rows.iterrows(), weights, strict=True):
        module, state = _module(row, layout), layout.unflatten(flat)
        yield [_compared(row, split, module, state, inputs_of(row, split, data_root)) for split in SPLITS]


def _module(row: pd.Series, layout: Layout) -> nn.Module:
    """The row's module. Raises `InputError` if it cannot be built, or its weights have another layout."""
    module = build_module(row)
    if Layout.of(module.state_dict()) != layout:
        raise InputError(f"the layout of its weights is not that of the architecture '{row['architecture']}'")
    return module


def _compared(row: pd.Series, split: Split, module: nn.Module, state: State, images: Images) -> Recomputed:
    try:
        load(module, state)  # for each split, because a forward pass may change it
        loss, accuracy = evaluate(module, images.images, images.labels)
    except (RuntimeError, IndexError) as error:  # channels or classes that are not the dataset's
        reason = str(error).split("\n")[0]
        raise InputError(f"'{row['architecture']}' cannot be run on images of '{row['dataset']}' ({reason})") from None
    return Recomputed(
        population=_title(row),
        model_id=str(row["model_id"]),
        epoch=int(row["epoch"]),
        split=split,
        images=len(images.labels),
        recorded=_recorded(row[f"{split}_accuracy"]),
        recomputed=accuracy,
        recorded_loss=_recorded(row[f"{split}_loss"]),
        recomputed_loss=loss,
    )


def _title(row: pd.Series) -> str:
    return population_title(str(row["dataset"]), str(row["architecture"]), float(row["width"]))


def _recorded(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
