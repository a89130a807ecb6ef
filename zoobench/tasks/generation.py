"""Accuracy of generated models on images, without any training.

Sources: Schürholt et al., SANE, arXiv 2406.09997, section 4.2 (subsampled: draw many, keep the best by validation
accuracy; bootstrapped: the kept ones are the next round's anchors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from zoo_generation.networks.accuracy import accuracies
from zoobench.methods.protocols import Generator
from zoobench.methods.sampling import Draw, Drawn, choose_anchors, generate
from zoobench.populations import Access, Population
from zoobench.populations.symmetries import groups_of
from zoobench.populations.target import Target
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.diversity import to_anchors, to_others
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm


@dataclass(frozen=True)
class Generation:
    """New models around anchors: the best of the target's training models.

    Fields: the numbers of anchors, of models drawn per round, of kept models, and of validation images that select
    them. More than one round is bootstrapping. Keeping all draws is plain sampling. `passes` batches of training images
    set BatchNorm's statistics.
    """

    anchors: int = 5
    drawn: int = 200
    kept: int = 10
    selection_images: int = 500
    rounds: int = 1
    passes: int = 3

    name: ClassVar[str] = "generation"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Make new models without any training: how accurate and how new they are"
    paper: ClassVar[str] = "arXiv 2406.09997"
    primary: ClassVar[str] = "kept_mean"
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

    def ask(self, method: Generator, setting: Setting) -> Weights:
        """Generate: draw, and keep the best on validation images."""
        anchors = choose_anchors(setting.target, self.anchors)
        generated = generate(method, anchors, self.how, setting.seed, setting.images, device=setting.device)
        return Weights(generated.weights, draws_of(generated))

    def reads(self, target: Population) -> Population:
        return choose_anchors(target, self.anchors)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row per drawn model; or one per kept model, if the others are not known.

        Columns: model, the draw's number as a string; val_accuracy; kept; and, for kept models only (NaN for others),
        test_accuracy, and distances as in `diversity`: to_anchor (the nearest), to_others (the mean over the others).
        """
        anchors = choose_anchors(setting.target, self.anchors)
        target, weights = Target.of(anchors), answer.weights
        networks = (weights, target.layout, target.module())
        test, val = (setting.images.of(target.row, split) for split in ("test", "val"))
        between = (weights, anchors.weights, anchors.layout, groups_of(anchors))
        columns = {
            "test_accuracy": accuracies(*networks, test, setting.device),
            "to_anchor": to_anchors(*between),
            "to_others": to_others(*between),
        }
        draws = answer.draws
        if draws is None:
            selected = accuracies(*networks, val.first(self.selection_images), setting.device)
            numbers = range(len(weights))
            draws = pd.DataFrame({"model": map(str, numbers), "val_accuracy": selected.tolist(), "place": numbers})
        of_kept = pd.DataFrame({name: values.tolist() for name, values in columns.items()})
        table = draws[["model", "val_accuracy"]].assign(kept=draws["place"] >= 0)
        return table.join(of_kept.reindex(draws["place"]).set_axis(draws.index))

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Mean, spread and best test accuracy of the kept models, and mean validation accuracy of all drawn.

        And for the kept: `diversity`, the mean distance to each other, and `novelty`, the mean distance to the nearest
        anchor.
        """
        kept = observations[observations["kept"]]
        accuracy, drawn = kept["test_accuracy"], observations["val_accuracy"]
        return {
            "kept_mean": Estimate.mean(kept["model"], accuracy).exactly(float(accuracy.mean())),
            "kept_std": Estimate.constant(float(accuracy.std(ddof=0))),
            "kept_best": Estimate.constant(float(accuracy.max())),
            "drawn_mean": Estimate.mean(observations["model"], drawn).exactly(float(drawn.mean())),
            "diversity": Estimate.constant(float(kept["to_others"].mean())),
            "novelty": Estimate.constant(float(kept["to_anchor"].mean())),
        }

    def work(self, checkpoints: int, train_images: int) -> Work:
        """All draws on the selecting validation images, and the kept ones on test images."""
        drawn = self.rounds * self.drawn
        return Work(models=drawn, images=drawn * self.selection_images + self.kept * TEST_IMAGES)


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
    )


GENERATION = Generation()
