"""Measure the landscape around the models of some cells of one population, all of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.data.load import images_of
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm, correct, logits
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.curvature import curvature
from zoo_generation.networks.curves import CurveTraining, mode_connectivity
from zoo_generation.networks.gradients import positions
from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.program import norms_of
from zoo_generation.networks.similarity import linear_cka, mixed_up
from zoo_generation.networks.symmetry import match_weights, symmetry_groups
from zoo_generation.progress import QUIET, Progress
from zoobench.zoo.landscape.phases import PhaseRule
from zoobench.zoo.schema import LANDSCAPE
from zoobench.zoo.store import Zoo

BATCH = 128  # images of which BatchNorm's statistics are taken at once


@dataclass(frozen=True)
class LandscapeSettings:
    """How a landscape is measured.

    images: training images of the Hessian; steps, probes: of its eigenvalue and its trace, see `curvature`; mixed:
    training images of CKA; pairs: of a cell's models at most, the first ones; curve_epochs, curve_rate: of the curve
    between two models, see `CurveTraining`; late: checkpoints that are averaged, the last of them the measured one;
    seed: of all that is drawn.
    """

    images: int = 200
    steps: int = 15
    probes: int = 30
    mixed: int = 768
    pairs: int = 3
    curve_epochs: int = 10
    curve_rate: float = 0.1
    late: int = 5
    seed: int = 0


def measured(
    zoo: Zoo,
    rows: pd.DataFrame,
    settings: LandscapeSettings | None = None,
    rule: PhaseRule | None = None,
    *,
    data_root: Path | None = None,
    device: str = "cpu",
    progress: Progress = QUIET,
) -> pd.DataFrame:
    """One row per checkpoint, with the columns `LANDSCAPE`.

    rows: of the zoo's checkpoints, of one population, one activation and one part of the images, with a column `cell`.
    A model's measurements depend neither on the other cells nor on the order. Values that cannot be measured, such as
    of pairs where a cell has one model, are NaN. Raises `InputError` if the models cannot be run.
    """
    settings, rows = settings or LandscapeSettings(), rows.sort_values(["cell", "seed", "model_id"], ignore_index=True)
    first = rows.iloc[0]
    weights, layout = zoo.weights(rows)
    train, test = (images_of(first, split, data_root) for split in ("train", "test"))
    models = _Models(runnable_module(first), layout, train, test, device)
    few = Images(train.images[: settings.images], train.labels[: settings.images])
    curves = curvature(
        # on a CPU, stacks have a second derivative in double precision alone, and BatchNorm gains nothing by them
        weights if norms_of(models.module) or device != "cpu" else weights.double(),
        layout,
        models.module,
        few,
        steps=settings.steps,
        probes=settings.probes,
        seed=settings.seed,
        device=device,
        progress=progress,
    )
    alone = models.accuracy(weights)
    found = rows[["model_id", "epoch", "cell"]].assign(
        hessian_top_eigenvalue=curves.top_eigenvalue.numpy(),
        hessian_trace=curves.trace.numpy(),
        late_average_gain=(models.late(zoo, rows, settings.late) - alone).numpy(),
    )
    members = {str(cell): torch.tensor(places) for cell, places in rows.groupby("cell").indices.items()}
    of_cells = _of_pairs(models, weights, members, settings, progress)
    of_cells["matched_average_gain"] = _of_each(members, alone, lambda places: models.matched(weights[places]))
    outputs = logits(weights, layout, models.module, test.images, device).softmax(2)
    of_cells["ensemble_gain"] = _of_each(
        members, alone, lambda places: float(correct(outputs[places].mean(0), test.labels).double().mean())
    )
    of_cells["train_loss"] = rows.groupby("cell")["train_loss"].median()
    of_cells["phase"] = (rule or PhaseRule()).phases(of_cells)
    joined = found.merge(of_cells.drop(columns="train_loss"), left_on="cell", right_index=True)
    return joined[LANDSCAPE.names]


@dataclass(frozen=True)
class _Models:
    """The network of some models, and the images that they are judged on."""

    module: nn.Module
    layout: Layout
    train: Images
    test: Images
    device: str

    def accuracy(self, weights: Tensor) -> Tensor:
        """On test images, float64 [models]."""
        return accuracies(weights, self.layout, self.module, self.test, self.device)

    def conditioned(self, means: Tensor) -> Tensor:
        """Means of models [means, D], with BatchNorm's statistics of the training images."""
        passes = math.ceil(len(self.train.labels) / BATCH)
        return condition_batch_norm(means, self.layout, self.module, self.train, passes, BATCH, self.device)

    def late(self, zoo: Zoo, rows: pd.DataFrame, count: int) -> Tensor:
        """The accuracy of the mean of each model's last checkpoints up to its row's epoch; NaN where there is one."""
        epoch = int(rows["epoch"].iloc[0])
        table = zoo.checkpoints
        late = table[table["model_id"].isin(rows["model_id"]) & table["epoch"].between(epoch - count + 1, epoch)]
        places = {str(model): torch.tensor(found) for model, found in late.groupby("model_id").indices.items()}
        stored, _ = zoo.weights(late)
        means = torch.stack([stored[places[model]].mean(0) for model in rows["model_id"]])
        several = torch.tensor([len(places[model]) > 1 for model in rows["model_id"]])
        return torch.where(several, self.accuracy(self.conditioned(means)), torch.nan)

    def matched(self, weights: Tensor) -> float:
        """The accuracy of the mean of some models [models, D], their units matched with the first's."""
        groups = symmetry_groups(self.module.to("cpu"), tuple(self.train.images.shape[1:]))
        others = match_weights(weights[1:], weights[0], self.layout, groups)
        return float(self.accuracy(self.conditioned(torch.cat([weights[:1], others]).mean(0, keepdim=True))))


def _of_each(members: dict[str, Tensor], alone: Tensor, accuracy: Callable[[Tensor], float]) -> pd.Series:
    """By cell, the accuracy of what its models are made into, less the mean of their own; NaN of one model."""
    gains = {
        cell: accuracy(places) - float(alone[places].mean()) if len(places) > 1 else math.nan
        for cell, places in members.items()
    }
    return pd.Series(gains, dtype=float)


def _of_pairs(
    models: _Models, weights: Tensor, members: dict[str, Tensor], settings: LandscapeSettings, progress: Progress
) -> pd.DataFrame:
    """What pairs of models show, the mean over each cell's pairs: one row per cell."""
    of_cell = {cell: list(islice(combinations(places.tolist(), 2), settings.pairs)) for cell, places in members.items()}
    pairs = [(cell, *pair) for cell, found in of_cell.items() for pair in found]
    columns = ["mode_connectivity", "cka", "cka_logits", "l2_distance"]
    if not pairs:
        return pd.DataFrame(math.nan, index=list(members), columns=columns)
    cells, one, other = (list(each) for each in zip(*pairs, strict=True))
    network = models.layout, models.module
    mixed = mixed_up(models.train.images[: settings.mixed], seed=settings.seed)
    outputs = logits(weights, *network, mixed, models.device)
    parameters = weights[:, positions(*network)]
    training = CurveTraining(epochs=settings.curve_epochs, rate=settings.curve_rate)
    connected = mode_connectivity(
        weights[one],
        weights[other],
        *network,
        models.train,
        training=training,
        seed=settings.seed,
        device=models.device,
        progress=progress,
    )
    shares = outputs.softmax(2)
    found = {
        "mode_connectivity": connected,
        "cka": torch.stack([linear_cka(shares[i], shares[k]) for i, k in zip(one, other, strict=True)]),
        "cka_logits": torch.stack([linear_cka(outputs[i], outputs[k]) for i, k in zip(one, other, strict=True)]),
        "l2_distance": (parameters[one] - parameters[other]).norm(dim=1),
    }
    table = pd.DataFrame({name: values.double().numpy() for name, values in found.items()}, columns=columns)
    return table.groupby(cells).mean().reindex(list(members))
