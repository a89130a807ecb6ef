"""Models for a dataset that a method has never seen: drawn around other datasets' models, then trained a little.

Source: Schürholt, Mahoney & Borth, SANE, arXiv 2406.09997 (anchors of another dataset, with a new classifier: test
accuracy before training and after a few epochs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Generator, InapplicableError, Samplable
from zoobench.methods.sampling import choose_anchors, generate_from
from zoobench.populations import Access, Population
from zoobench.populations.population import OPEN
from zoobench.populations.target import Target, corresponding, with_new_classifier
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.fine_tuning import FineTuning, specs_like
from zoobench.tasks.generation import draws_of


@dataclass(frozen=True)
class ZeroShot(FineTuning):
    """Generate models for the target from the training set's models alone, then train them further.

    Anchors are the best training models of each population of the training set whose layers correspond to the target's
    and that has its activation, by their own validation accuracy. Draws are shared equally among these populations;
    the best of all are kept by the target's validation images. The target gives architecture, activation and images;
    its models are used only if its own zoo is in the training set (ID): `source` in the observations says where each
    model came from. All models are then trained as the best anchor was, so the target's models decide nothing.

    classifier: `new` replaces the last linear layer of each drawn model by a new one; `kept` keeps it, and draws only
    on populations with as many classes as the target. Other fields: as in `fine_tuning`.
    """

    epochs: tuple[int, ...] = (0, 1, 5)
    classifier: Literal["new", "kept"] = "new"

    name: ClassVar[str] = "zero_shot"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Generate models for a dataset from models of others, and train them: test accuracy"
    paper: ClassVar[str] = "arXiv 2406.09997"
    access: ClassVar[Access] = Access.WEIGHTS  # the target's images are not the anchors' images
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generation.rounds != 1:
            raise InputError(
                f"zero_shot was given {self.generation.rounds} rounds; it draws one, because a further one would be "
                "drawn around untrained classifiers"
            )

    def ask(self, method: Generator, setting: Setting) -> Weights:
        """Generate; the weights are those before training, best first. Draws have a column `source`, the population's
        name.

        Raises `InapplicableError` if the method cannot use any of the training set's populations.
        """
        target = Target.unseen(setting.target)
        usable = self._anchors(setting.sources, target)
        generator: Generator = method
        if isinstance(method, Samplable):
            known = [each.split("train").known() for each in setting.sources]
            generator = method.sampler(target, None, known)
        else:
            usable = [each for each in usable if each.layout == target.layout]
        if not usable:
            raise InapplicableError(f"the training set has no models that can be anchors for {target.name}")
        if self.classifier == "new":
            generator = _Renewing(generator, target)
        pairs = [(generator, each) for each in usable]
        how, images, device = self.generation.how, setting.images, setting.device
        drawn, sources = generate_from(pairs, how, setting.seed, images, target=target, device=device)
        draws = draws_of(drawn).assign(source=[usable[number].name for number in sources.tolist()])
        draws["place"] = draws["place"].where(draws["place"] < self.models, -1)
        return Weights(drawn.weights[: self.models], draws)

    def reads(self, target: Population) -> Population:
        """One checkpoint: judging needs to know what the target is, and none of its weights."""
        return target.select(np.arange(len(target)) == 0)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """Train. Observations as of `fine_tuning`, and source, the population that a model was drawn around, None if
        that is not known.

        Also reads the sources: the best of their anchors says how to train. Raises `InputError` if there are none.
        """
        target = Target.unseen(setting.target)
        found = [each.table for each in self._anchors(setting.sources, target)]
        if not found:
            raise InputError(
                f"zero_shot on {target.name} is judged with the training set's models; give some as sources"
            )
        rows = pd.concat(found, ignore_index=True)
        best = rows.iloc[int(rows["val_accuracy"].argmax())].copy()
        for column in OPEN:
            best[column] = target.row[column]
        specs = specs_like(best, len(answer.weights), self.epochs, setting.seed)
        observations = self.train(answer.weights, target, specs, setting)
        if answer.draws is None:
            return observations.assign(source=None)
        source = {str(place): name for place, name in zip(answer.draws["place"], answer.draws["source"], strict=True)}
        return observations.assign(source=observations["model"].map(source))

    def _anchors(self, sources: Sequence[Population], target: Target) -> list[Population]:
        """The anchors of each of the populations that can have some for the target."""
        found = []
        for source in sources:
            same = source.table["activation"].isin([target.row["activation"]])
            chosen = source.select(same & (source.table["split"] == "train"))
            if len(chosen) and self._fits(chosen, target):
                found.append(choose_anchors(chosen, self.generation.anchors))
        return found

    def _fits(self, source: Population, target: Target) -> bool:
        """Whether models of a population can be anchors for the target."""
        if self.classifier == "kept" and int(source.table["classes"].iloc[0]) != int(target.row["classes"]):
            return False
        return corresponding(source.tokenizer, target) is not None


@dataclass(frozen=True, eq=False)
class _Renewing:
    """A generator whose models get a new classifier each."""

    generator: Generator
    target: Target

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        return with_new_classifier(self.generator.generate(anchors, count, seed), self.target, seed)


ZERO_SHOT = ZeroShot()
