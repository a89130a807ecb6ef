"""How well a linear probe, and boosted trees, predict a checkpoint's properties from its embedding.

Sources: Schürholt et al., Model Zoos, arXiv 2209.14764, section 4 (in and out of distribution); Falk, Schürholt &
Borth, arXiv 2504.10141 (across architectures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Embedder, InapplicableError, Predictor, TablePredictor
from zoobench.populations import Access, Population
from zoobench.tasks import probe as probes
from zoobench.tasks.answers import Predictions
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import PredictionForm
from zoobench.tasks.invariance import KEY, OF_COPY, beside_copies, changes, with_copies
from zoobench.zoo.schema import skills_among


@dataclass(frozen=True)
class PropertyPrediction:
    """Two readers of an embedding, a linear probe and boosted trees, are fitted to training and validation models, and
    tested on the target's test models. Scores of the trees are those of `boosted_test_accuracy` and the like.

    probe: `own`, fitted to the target's own models; `sources`, fitted to all populations that the method was trained
    on, pooled, so that it sees none of the target's unless the target is one of them. properties: numbers,
    hyperparameters by name, or `hyperparameters` for all that vary; `skill_1` and so on, or `skills` for all; with the
    prefix `boosted_`, trees' readings must be answered too. A `Predictor` replaces both readers. With `sources`, τ
    ranks methods, because accuracies have another scale in each zoo. checkpoints: `last` leaves each model its last
    one, as papers on the Small CNN Zoo do.
    """

    probe: Literal["own", "sources"] = "own"
    properties: tuple[str, ...] = probes.ALL
    checkpoints: Literal["all", "last"] = "all"

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "arXiv 2209.14764"
    asks: ClassVar = Embedder | Predictor | TablePredictor
    access: ClassVar[Access] = Access.WEIGHTS
    known: ClassVar[tuple[str, ...]] = (*probes.ALL, *probes.HYPERPARAMETERS, probes.SKILLS)

    def __post_init__(self) -> None:
        """Raise `InputError` for a property that is not known."""
        named = {name: probes.recorded(name) for name in self.properties}
        if probes.SKILLS in self.known:
            named = {name: each for name, each in named.items() if not skills_among([each])}
        if strange := [name for name, each in named.items() if each not in self.known]:
            title = self.name.replace("_", " ")
            raise InputError(f"{title} was asked for '{strange[0]}'; the properties are {', '.join(self.known)}")

    @property
    def name(self) -> str:
        """`property_prediction`, or `property_transfer` for a probe on sources."""
        return "property_prediction" if self.probe == "own" else "property_transfer"

    @property
    def summary(self) -> str:
        """In one line."""
        where = "models of the same zoo" if self.probe == "own" else "other zoos"
        return (
            f"Read accuracy, generalization gap, epoch and hyperparameters off weights, with a probe fitted to {where}"
        )

    @property
    def primary(self) -> str:
        """By R², across zoos by Kendall's τ."""
        return "r2:test_accuracy" if self.probe == "own" else "tau:test_accuracy"

    @property
    def uses_sources(self) -> bool:
        """For a probe on sources."""
        return self.probe == "sources"

    def form(self, setting: Setting) -> PredictionForm:
        """Each property of each of the target's test models, see `probe.askable`.

        Without models to fit a probe to, as when a leaderboard judges, the target's own models say which properties
        vary.
        """
        test = self._asked(setting.target)
        known = [each.table for each in self._known(setting) if len(each)] or [test.table]
        return PredictionForm.of(test, *probes.askable(pd.concat(known), test.table, self.properties))

    def ask(self, method: Embedder | Predictor | TablePredictor, setting: Setting) -> Predictions:
        """Embed, fit, predict, also for copies of some checkpoints, see `invariance`. Raises `InapplicableError` if the
        populations' features differ in number, and if a target of other models was published without test models."""
        if self.uses_sources and not len(self._asked(setting.target)):
            raise InapplicableError(f"{setting.target.name} has no test models")
        asked = with_copies(self._asked(setting.target), setting.seed)
        return Predictions(beside_copies(probes.read_by(method, self._known(setting), asked, self.properties)))

    def _known(self, setting: Setting) -> list[Population]:
        """The models that a probe is fitted to."""
        sources = (setting.target,) if self.probe == "own" else setting.sources
        return [self._taken(each.without("test")) for each in sources]

    def _asked(self, target: Population) -> Population:
        """The checkpoints of test models that are asked about."""
        return self._taken(target.split("test"))

    def _taken(self, population: Population) -> Population:
        """The checkpoints that a method sees of a population, with what is to be predicted of each."""
        if self.checkpoints == "all":
            return population
        epochs = population.table["epoch"]
        return population.select(epochs == epochs.groupby(population.table["model_id"]).transform("max"))

    def judge(self, answer: Predictions, setting: Setting) -> pd.DataFrame:
        """One row per checkpoint and property, see `probe.judge`; and what was predicted for copies, if it is known."""
        judged = probes.judge(answer.table, self._asked(setting.target).table)
        if not set(OF_COPY.values()) <= set(answer.table):
            return judged
        return judged.merge(answer.table[[*KEY, *OF_COPY.values()]], on=KEY, how="left")

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Scores as of `probe.score`; and `change:…`, how much predictions change for copies, if it is known."""
        copied = set(OF_COPY.values()) <= set(observations)
        return probes.score(observations) | (changes(observations) if copied else {})

    def reads(self, target: Population) -> Population:
        return self._asked(target)

    def work(self, checkpoints: int, train_images: int) -> Work:
        """The embedding of every checkpoint, and its readers."""
        return Work(models=checkpoints, seconds=10.0)


PROPERTY_PREDICTION = PropertyPrediction()
PROPERTY_TRANSFER = PropertyPrediction(probe="sources")
