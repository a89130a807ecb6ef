"""Generate models around anchors: draw many, keep the best on validation images.

Sources: Schürholt et al., SANE, arXiv 2406.09997, section 4.2 (subsampled: draw many, keep the best by validation
accuracy; bootstrapped: the kept ones are the next round's anchors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.program import with_ties
from zoo_generation.progress import QUIET, Step
from zoobench.methods.protocols import Generator
from zoobench.populations import Population
from zoobench.populations.target import Target

ELEMENTS = 2**28  # of weights drawn at once, 1 GiB
IGNORED = QUIET.stage("generating")
NEXT_SEED = 2**32  # between the seeds of draws that follow one another: beyond those that users give
NEXT_SOURCE = 2**48  # between the seeds of populations that are drawn from side by side


@dataclass(frozen=True)
class Draw:
    """How models are drawn and selected.

    drawn: models per round; kept: number of models to keep, the best by accuracy on `selection_images` validation
    images; rounds: more than one is bootstrapping; passes: batches of training images that set BatchNorm's statistics.
    """

    drawn: int = 200
    kept: int = 10
    selection_images: int = 500
    rounds: int = 1
    passes: int = 3


@dataclass(frozen=True, eq=False)
class Drawn:
    """The kept models, best first, and the accuracies of all draws.

    weights: [kept, D]; val_accuracy: of the kept, on the validation images that they were chosen by, [kept];
    drawn_accuracy: that of all draws, [rounds · drawn]; draws: the number of each kept model among them; observed: what
    else was observed of all draws [rounds · drawn, ...], by name.
    """

    weights: Tensor
    val_accuracy: Tensor
    drawn_accuracy: Tensor
    draws: Tensor
    observed: Mapping[str, Tensor] = field(default_factory=dict)


Observe = Callable[[Tensor], Mapping[str, Tensor]]
"""Observes models [models, D]: values [models, ...] by name."""


def choose_anchors(population: Population, count: int) -> Population:
    """The best checkpoint of each of the best training models, by validation accuracy.

    Anchors share the activation of the best, because weights do not say which activation they were trained for. Other
    models cannot be reached through them. Raises `InputError` if there are no training models, or if their validation
    accuracy was not measured.
    """
    table = population.table
    training = table[table["split"] == "train"]
    if training.empty:
        raise InputError(f"{population.name} has too few models for any of them to be anchors; take a larger zoo")
    candidates = training[training["val_accuracy"].notna()].sort_values("val_accuracy", ascending=False, kind="stable")
    if candidates.empty:
        raise InputError(
            f"{population.name} has no anchors: they are the best models by the column 'val_accuracy', which is empty; "
            "measure it on images that neither training nor testing sees, and import the models again with it"
        )
    activation = candidates["activation"]
    same = candidates[(activation == activation.iloc[0]) | (activation.isna() & pd.isna(activation.iloc[0]))]
    best = same.drop_duplicates("model_id").head(count)
    return population.select(table.index.isin(best.index)).alone()


def generate(
    method: Generator,
    anchors: Population,
    how: Draw,
    seed: int,
    images: ImageStore,
    *,
    target: Target | None = None,
    device: str = "cpu",
    step: Step = IGNORED,
    observe: Observe = lambda weights: {},
) -> Drawn:
    """Draw models, condition their BatchNorm on training images, and keep the best on validation images.

    With several rounds, the kept models are the next round's anchors and compete with what is drawn from them, so the
    best never get worse. target: the anchors' own population, or what the method generates from them; observe: is shown
    every draw. The method sees the anchors as `Population.as_anchors` leaves them.
    """
    target = target or Target.of(anchors)
    module, layout = target.module(), target.layout
    training, validation = (images.of(target.row, split) for split in ("train", "val"))
    validation = validation.first(how.selection_images)
    at_once = max(1, ELEMENTS // max(1, layout.size))  # large models are drawn, evaluated and dropped in turn
    kept = _nothing_kept(layout.size, device)
    drawn_accuracy: list[Tensor] = []
    observed: dict[str, list[Tensor]] = {}
    done = 0
    for _ in range(how.rounds):
        shown = anchors.as_anchors()
        for start in range(0, how.drawn, at_once):
            asked = min(at_once, how.drawn - start)
            drawn = method.generate(shown, asked, seed + NEXT_SEED * len(drawn_accuracy))
            if drawn.ndim != 2 or drawn.shape[1] != layout.size or len(drawn) > asked:
                raise InputError(
                    f"the method generated {list(drawn.shape)} numbers; give weights [{asked} models or fewer, "
                    f"{layout.size}]"
                )
            drawn = with_ties(drawn.to(device), layout, module)
            drawn = condition_batch_norm(drawn, layout, module, training, how.passes, device=device)
            accuracy = accuracies(drawn, layout, module, validation, device)
            kept = kept.best_with(_Kept(drawn, accuracy, done + torch.arange(len(drawn))), how.kept)
            drawn_accuracy.append(accuracy)
            for name, values in observe(drawn).items():
                observed.setdefault(name, []).append(values)
            done += len(drawn)
            step(done, how.rounds * how.drawn)
            if len(drawn) < asked:  # a method without more models would give the same again
                break
        anchors = replace(target.population(kept.weights.cpu(), kept.accuracy), granted=anchors.granted)
    seen = {name: torch.cat(parts) for name, parts in observed.items()}
    return Drawn(kept.weights.cpu(), kept.accuracy, torch.cat(drawn_accuracy), kept.draws, seen)


def generate_from(
    sources: Sequence[tuple[Generator, Population]],
    how: Draw,
    seed: int,
    images: ImageStore,
    *,
    target: Target,
    device: str = "cpu",
) -> tuple[Drawn, Tensor]:
    """Draw around the anchors of several populations, equally many around each, and keep the best of all.

    sources: one or more generators of the target's models, each with its anchors. Returns the kept models, and for
    each draw the number of its source [draws] int64. Raises `InputError` for fewer draws than sources.
    """
    if how.drawn < len(sources):
        raise InputError(
            f"{how.drawn} models were to be drawn from {len(sources)} populations; draw one or more of each"
        )
    kept, accuracies_of, numbers = _nothing_kept(target.layout.size), [], []
    done = 0
    for number, (generator, anchors) in enumerate(sources):
        share = how.drawn // len(sources) + (number < how.drawn % len(sources))
        its_seed = seed + NEXT_SOURCE * number
        drawn = generate(generator, anchors, replace(how, drawn=share), its_seed, images, target=target, device=device)
        kept = kept.best_with(_Kept(drawn.weights, drawn.val_accuracy, done + drawn.draws), how.kept)
        accuracies_of.append(drawn.drawn_accuracy)
        numbers.append(torch.full((len(drawn.drawn_accuracy),), number))
        done += len(drawn.drawn_accuracy)
    return Drawn(kept.weights, kept.accuracy, torch.cat(accuracies_of), kept.draws), torch.cat(numbers)


@dataclass(frozen=True)
class _Kept:
    """Weights [models, D], their validation accuracy, and their numbers among all draws, best first."""

    weights: Tensor
    accuracy: Tensor
    draws: Tensor

    def best_with(self, others: _Kept, count: int) -> _Kept:
        """The best of both; among equals, those drawn first."""
        accuracy = torch.cat([self.accuracy, others.accuracy])
        best = torch.argsort(accuracy, descending=True, stable=True)[:count]
        weights, draws = torch.cat([self.weights, others.weights]), torch.cat([self.draws, others.draws])
        return _Kept(weights[best], accuracy[best], draws[best])


def _nothing_kept(size: int, device: str = "cpu") -> _Kept:
    """Before anything is drawn; models have `size` weights, which stay on the device."""
    none = torch.zeros(0, dtype=torch.int64)
    return _Kept(torch.zeros(0, size, device=device), none.double(), none)
