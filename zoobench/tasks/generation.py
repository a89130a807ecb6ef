"""Accuracy and novelty of generated models, without any training.

Sources: Schürholt et al., SANE, arXiv 2406.09997, section 4.2 (subsampled: draw many, keep the best by validation
accuracy; bootstrapped: the kept ones are the next round's anchors); Zeng et al., arXiv 2506.07998 (generated models
against copies of training models with noise).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import accuracies, mistakes
from zoobench.methods.protocols import Generator
from zoobench.methods.sampling import Draw, Drawn, choose_anchors, generate
from zoobench.populations import Access, Population
from zoobench.populations.target import Target
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.novelty import KnownModels

FARTHER = (1, 2, 4)
"""In units of the zoo's own distances: how far from all known models a model must be to count as new."""

COMPARED_IMAGES = 2000
"""Test images, evenly spaced, on which all draws are tested and mistakes are compared."""

CANDIDATES = (10, 20, 50, 100)
"""Numbers of draws to keep the best of, for a curve."""


@dataclass(frozen=True)
class Generation:
    """New models around anchors: the best of the target's training models.

    Fields: the numbers of anchors, of models drawn per round, of kept models, and of validation images that select
    them. More than one round is bootstrapping. Keeping all draws is plain sampling. `passes` batches of training images
    set BatchNorm's statistics.

    Ranks by `joint_1`: the share of the models to be kept that are as accurate as the anchors and farther from every
    model that the method may know than checkpoints of these are from each other. A copy of a model counts 0.
    """

    anchors: int = 5
    drawn: int = 200
    kept: int = 10
    selection_images: int = 500
    rounds: int = 1
    passes: int = 3

    name: ClassVar[str] = "generation"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "Make new models without any training: how accurate and how new they are"
    paper: ClassVar[str] = "arXiv 2406.09997"
    primary: ClassVar[str] = "joint_1"
    asks: ClassVar = Generator
    access: ClassVar[Access] = Access.IMAGES
    uses_sources: ClassVar[bool] = False

    @property
    def how(self) -> Draw:
        """How models are drawn and selected."""
        return Draw(self.drawn, self.kept, self.selection_images, self.rounds, self.passes)

    def form(self, setting: Setting) -> WeightForm:
        """At most as many models as are kept, best first."""
        return WeightForm.made(range(1, self.kept + 1), setting.target.layout.size)

    def anchors_of(self, target: Population) -> Population:
        """The best of the target's training models."""
        return choose_anchors(target, self.anchors)

    def ask(self, method: Generator, setting: Setting) -> Weights:
        """Generate: draw, and keep the best on validation images. Draws have two further columns: accuracy, on
        `COMPARED_IMAGES` test images; novelty, the distance to the nearest known model."""
        anchors = self.anchors_of(setting.target)
        known, compared = self._known(setting)
        module = Target.of(anchors).module()

        def observe(weights: Tensor) -> Mapping[str, Tensor]:
            wrong = mistakes(weights, anchors.layout, module, compared, setting.device)
            return {"accuracy": 1 - wrong.double().mean(1), "novelty": known.distances(weights.cpu())}

        drawn = generate(
            method, anchors, self.how, setting.seed, setting.images, device=setting.device, observe=observe
        )
        return Weights(drawn.weights, draws_of(drawn))

    def reads(self, target: Population) -> Population:
        """All training and validation models with the anchors' activation: a method may know these."""
        activation = choose_anchors(target, 1).table["activation"].iloc[0]
        table = target.table
        same = table["activation"].isna() if pd.isna(activation) else table["activation"] == activation
        return target.select(same & (table["split"] != "test")).with_own_table()

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row per drawn model; or one per kept model, if the others are not known.

        Columns: model, the draw's number as a string; val_accuracy; kept; test_accuracy, of kept models only (NaN for
        others); novelty, the distance to the nearest known model, see `novelty`; for kept models only, overlap, of
        mistakes with the known model that is most alike, and to_others, the mean distance to the other kept models;
        drawn_accuracy, on `COMPARED_IMAGES` test images, NaN if other draws are not known. Equal in all rows: bar, the
        accuracy to reach; independent and independent_overlap, the novelty and overlap of the known models themselves.
        """
        anchors = self.anchors_of(setting.target)
        target, weights = Target.of(anchors), answer.weights
        known, compared = self._known(setting)
        module, layout, device = target.module(), target.layout, setting.device
        test, val = (setting.images.of(target.row, split) for split in ("test", "val"))
        columns = {
            "test_accuracy": accuracies(weights, layout, module, test, device),
            "novelty": known.distances(weights),
            "overlap": known.overlaps(mistakes(weights, layout, module, compared, device)),
            "to_others": known.between(weights),
        }
        of_anchors = accuracies(anchors.weights, layout, module, test, device)
        same = {
            "bar": float(of_anchors.mean() - of_anchors.std(correction=0)),
            "independent": known.independent,
            "independent_overlap": known.independent_overlap,
        }
        draws = answer.draws
        if draws is None:
            selected = accuracies(weights, layout, module, val.first(self.selection_images), device)
            numbers = range(len(weights))
            draws = pd.DataFrame({"model": map(str, numbers), "val_accuracy": selected.tolist(), "place": numbers})
        of_kept = pd.DataFrame({name: values.tolist() for name, values in columns.items()})
        table = draws[["model", "val_accuracy"]].assign(kept=draws["place"] >= 0)
        table = table.join(of_kept.reindex(draws["place"]).set_axis(draws.index))
        of_drawn = draws.reindex(columns=["accuracy", "novelty"])
        table = table.assign(drawn_accuracy=of_drawn["accuracy"], novelty=table["novelty"].fillna(of_drawn["novelty"]))
        return table.assign(**same)

    def _known(self, setting: Setting) -> tuple[KnownModels, Images]:
        """The models that a method may know, and the test images on which mistakes are compared."""
        read = self.reads(setting.target)
        test = setting.images.of(read.row, "test")
        rows = np.linspace(0, len(test.labels) - 1, min(COMPARED_IMAGES, len(test.labels))).round().astype(int)
        compared = Images(test.images[torch.from_numpy(rows)], test.labels[torch.from_numpy(rows)])
        return KnownModels.of(read, compared, setting.device), compared

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Of the kept models `joint_…`: the share of those asked for that reach the bar on test images and are farther
        than so many units from every known model; mean, spread and best of test accuracy; `novelty` and `overlap`;
        `diversity`, the mean distance to each other. Then `bar`, and novelty and overlap of the known models.

        If all draws are known, their mean test accuracy `drawn_mean`, their share `drawn_joint_…`, and
        `kept_mean_of_…`: the mean test accuracy of the kept if there had been so many draws.
        """
        kept = observations[observations["kept"]]
        accuracy = kept["test_accuracy"]
        scores = {f"joint_{units}": self._joint(kept, accuracy, units, self.kept) for units in FARTHER}
        scores |= {
            "kept_mean": Estimate.mean(kept["model"], accuracy).exactly(float(accuracy.mean())),
            "kept_std": Estimate.constant(float(accuracy.std(ddof=0))),
            "kept_best": Estimate.constant(float(accuracy.max())),
        }
        scores |= {name: Estimate.mean(kept["model"], kept[name]) for name in ("novelty", "overlap")}
        scores["diversity"] = Estimate.constant(float(kept["to_others"].mean()))
        of_known = ("bar", "independent", "independent_overlap")
        scores |= {name: Estimate.constant(float(observations[name].iloc[0])) for name in of_known}
        drawn = observations["drawn_accuracy"]
        if drawn.isna().any():
            return scores
        scores["drawn_mean"] = Estimate.mean(observations["model"], drawn)
        for units in FARTHER:
            scores[f"drawn_joint_{units}"] = self._joint(observations, drawn, units, len(observations))
        for candidates in (each for each in CANDIDATES if self.kept <= each < len(observations)):
            best = observations.head(candidates).sort_values("val_accuracy", ascending=False, kind="stable")
            rows = best.head(self.kept)
            scores[f"kept_mean_of_{candidates}"] = Estimate.mean(rows["model"], rows["drawn_accuracy"])
        return scores

    @staticmethod
    def _joint(rows: pd.DataFrame, accuracy: pd.Series, units: int, asked: int) -> Estimate:
        """The share of the models asked for that are accurate and new; those that are missing are neither."""
        good = ((accuracy >= rows["bar"]) & (rows["novelty"] > units)).astype(float)
        missing = pd.Series([f"missing {number}" for number in range(asked - len(rows))], dtype=object)
        models = pd.concat([rows["model"].astype(object), missing], ignore_index=True)
        values = pd.concat([good, pd.Series(0.0, missing.index)], ignore_index=True)
        return Estimate.mean(models, values)

    def work(self, checkpoints: int, train_images: int) -> Work:
        """All draws on the selecting validation images and on the compared test images, the kept ones on all test
        images."""
        drawn = self.rounds * self.drawn
        images = drawn * (self.selection_images + COMPARED_IMAGES) + (self.kept + self.anchors) * TEST_IMAGES
        return Work(models=drawn, images=images)


def draws_of(generated: Drawn) -> pd.DataFrame:
    """One row per draw, as `Weights.draws`."""
    place = {draw: row for row, draw in enumerate(generated.draws.tolist())}
    accuracy = generated.drawn_accuracy.tolist()
    return pd.DataFrame(
        {
            "model": [str(draw) for draw in range(len(accuracy))],
            "val_accuracy": accuracy,
            "place": [place.get(draw, -1) for draw in range(len(accuracy))],
        }
        | {name: values.tolist() for name, values in generated.observed.items()}
    )


GENERATION = Generation()
