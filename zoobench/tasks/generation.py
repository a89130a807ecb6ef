"""How good generated models are on images, without any training.

Sources: Schürholt et al., SANE, arXiv 2406.09997, section 4.2 (subsampled: draw many, keep the best by validation
accuracy; bootstrapped: the kept ones are the next round's anchors).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.program import with_ties
from zoobench.methods.protocols import Generator
from zoobench.populations import Access, Population
from zoobench.populations.symmetries import groups_of
from zoobench.populations.target import Target
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.diversity import to_anchors, to_others
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm

ELEMENTS = 2**28  # of weights drawn at once, 1 GiB
NEXT_SEED = 2**32  # between the seeds of draws that follow one another: beyond those that users give

Report = Callable[[int, int], None]
"""Told how many models were drawn and evaluated, of how many."""


@dataclass(frozen=True)
class Generation:
    """New models around anchors: the best of the target's training models.

    How many anchors, how many models are drawn in each round, how many are kept, by how many validation images. More
    rounds than one are bootstrapping. Keeping all that are drawn is plain sampling. `passes` batches of training images
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
    access: ClassVar[Access] = Access.WEIGHTS
    uses_sources: ClassVar[bool] = False

    def form(self, setting: Setting) -> WeightForm:
        """As many as are kept, or fewer, best first."""
        return WeightForm.made(range(1, self.kept + 1), setting.target.layout.size)

    def ask(self, method: Generator, setting: Setting) -> Weights:
        """Generate: draw, and keep the best on validation images."""
        anchors = choose_anchors(setting.target, self.anchors)
        data_root, device = setting.images.data_root, setting.device
        generated = generate(method, anchors, self, setting.seed, data_root, device=device)
        return Weights(generated.weights, draws_of(generated))

    def reads(self, target: Population) -> Population:
        return choose_anchors(target, self.anchors)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """One row per model that was drawn; if only those are known that were kept, per one of these.

        Columns: model, the draw's number as a string; val_accuracy; kept; and of those kept, elsewhere not a number:
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

        And of the kept, `diversity`: mean distance to each other, and `novelty`: mean distance to the nearest anchor.
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
        """All draws on the validation images that select, and the kept ones on test images."""
        drawn = self.rounds * self.drawn
        return Work(models=drawn, images=drawn * self.selection_images + self.kept * TEST_IMAGES)


@dataclass(frozen=True)
class Generated:
    """Models of one method: kept weights [kept, D], their accuracy on test images and, best first, on the validation
    images they were selected by; that of all draws [rounds · drawn], and the number of each kept one [kept] among them.
    """

    weights: Tensor
    test_accuracy: Tensor
    val_accuracy: Tensor
    drawn_accuracy: Tensor
    draws: Tensor


def choose_anchors(population: Population, count: int) -> Population:
    """The best checkpoint of each of the best training models, by validation accuracy.

    Anchors share the activation of the best, since weights do not say which activation they were trained for; no other
    models can be reached through them. Raises `InputError` where there are no training models, and where no validation
    accuracy was measured of them.
    """
    table = population.table
    training = table[table["split"] == "train"]
    if training.empty:
        raise InputError(f"{population.name} has too few models for any of them to be anchors; take a larger zoo")
    candidates = training[training["val_accuracy"].notna()].sort_values("val_accuracy", ascending=False, kind="stable")
    if candidates.empty:
        raise InputError(
            f"{population.name} has no anchors, which are the best models by the column 'val_accuracy', and that is "
            "empty; measure it on images that neither training nor testing sees, and import the models again with it"
        )
    activation = candidates["activation"]
    same = candidates[(activation == activation.iloc[0]) | (activation.isna() & pd.isna(activation.iloc[0]))]
    best = same.drop_duplicates("model_id").head(count)
    return population.select(table.index.isin(best.index)).alone()


def generate(
    method: Generator,
    anchors: Population,
    protocol: Generation,
    seed: int,
    data_root: Path | None,
    *,
    target: Target | None = None,
    device: str = "cpu",
    report: Report = lambda done, of: None,
) -> Generated:
    """Draw models, condition their BatchNorm on training images, keep the best on validation images, and
    evaluate those kept on test images.

    With more rounds than one, the kept models are the next round's anchors, and compete with what is drawn from them:
    the best never get worse. `target` is the anchors' own population, or what the method generates from them.
    """
    target = target or Target.of(anchors)
    module, layout = target.module(), target.layout
    training, validation, test = (images_of(target.row, split, data_root) for split in ("train", "val", "test"))
    validation = validation.first(protocol.selection_images)
    step = max(1, ELEMENTS // max(1, layout.size))  # large models are drawn, evaluated and dropped in turn
    kept = Kept(torch.zeros(0, layout.size), torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
    drawn_accuracy: list[Tensor] = []
    done = 0
    for _ in range(protocol.rounds):
        for start in range(0, protocol.drawn, step):
            asked = min(step, protocol.drawn - start)
            drawn = method.generate(anchors, asked, seed + NEXT_SEED * len(drawn_accuracy))
            drawn = with_ties(drawn, layout, module)
            drawn = condition_batch_norm(drawn, layout, module, training, protocol.passes, device=device)
            accuracy = accuracies(drawn, layout, module, validation, device)
            kept = kept.best_with(Kept(drawn, accuracy, done + torch.arange(len(drawn))), protocol.kept)
            drawn_accuracy.append(accuracy)
            done += len(drawn)
            report(done, protocol.rounds * protocol.drawn)
            if len(drawn) < asked:  # a method that has no more models would give the same again
                break
        anchors = target.population(kept.weights, kept.accuracy)
    test_accuracy = accuracies(kept.weights, layout, module, test, device)
    return Generated(kept.weights, test_accuracy, kept.accuracy, torch.cat(drawn_accuracy), kept.draws)


@dataclass(frozen=True)
class Kept:
    """Weights [models, D], their validation accuracy, and their numbers among all draws, best first."""

    weights: Tensor
    accuracy: Tensor
    draws: Tensor

    def best_with(self, others: Kept, count: int) -> Kept:
        """The best of both; of equals, those that were drawn first."""
        accuracy = torch.cat([self.accuracy, others.accuracy])
        best = torch.argsort(accuracy, descending=True, stable=True)[:count]
        weights, draws = torch.cat([self.weights, others.weights]), torch.cat([self.draws, others.draws])
        return Kept(weights[best], accuracy[best], draws[best])


def draws_of(generated: Generated) -> pd.DataFrame:
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
