"""How well the loss landscape around a model is read off its weights, and the phase that its cell is in.

Source of the measurements and the phases: Yang et al., arXiv 2107.11228; of zoos of them: Schürholt et al., arXiv
2504.18072.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Embedder, InapplicableError, Predictor, TablePredictor
from zoobench.populations import Population
from zoobench.tasks import probe as probes
from zoobench.tasks.answers import Predictions
from zoobench.tasks.base import Setting
from zoobench.tasks.invariance import beside_copies, with_copies
from zoobench.tasks.property_prediction import PropertyPrediction

NUMBERS = tuple(probes.LANDSCAPE)
PHASES = (probes.PHASE,)


@dataclass(frozen=True)
class LandscapePrediction(PropertyPrediction):
    """Readers of embeddings, as of property prediction, fitted to the measured models of all populations that the
    method was trained on, for the landscape around each measured test model of the target.

    Models that differ in their seeds alone share a cell, and with it what is measured of pairs and the phase. So that
    no reader knows the answer from a sibling, cells are dealt into `folds`, and a test model is read by readers that
    were fitted to the other folds. properties: numbers of `probe.LANDSCAPE`, or `phase` alone, with or without the
    prefix `boosted_`.
    """

    properties: tuple[str, ...] = NUMBERS
    folds: int = 5

    paper: ClassVar[str] = "arXiv 2107.11228"
    known: ClassVar[tuple[str, ...]] = (*NUMBERS, *PHASES)

    def __post_init__(self) -> None:
        """Raise `InputError` for another probe or checkpoints, fewer than two folds, and a property not known."""
        super().__post_init__()
        if self.probe != "own" or self.checkpoints != "all" or self.folds < 2:
            raise InputError(f"{self.name} takes 2 or more folds, and neither a probe nor checkpoints; leave these out")

    @property
    def name(self) -> str:
        """`landscape_prediction`, or `phase_prediction` for the phase alone."""
        of_phase = {probes.recorded(name) for name in self.properties} == {*PHASES}
        return "phase_prediction" if of_phase else "landscape_prediction"

    @property
    def summary(self) -> str:
        """In one line."""
        what = "the phase of a model's cell" if self.name == "phase_prediction" else "curvature and connectivity"
        return f"Read {what} off weights, with a probe fitted to models of other cells"

    @property
    def primary(self) -> str:
        """The trace by R², or the phase by its share of right answers."""
        return "accuracy:phase" if self.name == "phase_prediction" else "r2:ln_trace"

    @property
    def uses_sources(self) -> bool:
        """It reads the measured models of all."""
        return True

    def ask(self, method: Embedder | Predictor | TablePredictor, setting: Setting) -> Predictions:
        """Embed, fit and predict, fold by fold. Raises `InapplicableError` if nothing was measured, if a fold has too
        few models to fit to, and if the populations' features differ in number."""
        test, known = self.reads(setting.target), self._known(setting)
        if not len(test):
            raise InapplicableError(f"{setting.target.name} has no test models whose landscape was measured")
        cells = sorted(set(test.table["cell"]).union(*(each.table["cell"] for each in known)))
        fold = {cell: number % self.folds for number, cell in enumerate(cells)}
        answers = []
        for number in sorted({fold[cell] for cell in test.table["cell"]}):
            others = [each.select(each.table["cell"].map(fold) != number) for each in known]
            others = [each for each in others if len(each)]
            if not any((each.table["split"] == "train").any() for each in others):
                raise InapplicableError(f"{setting.target.name} has one cell; measure a zoo of more")
            asked = with_copies(test.select(test.table["cell"].map(fold) == number), setting.seed)
            answers.append(probes.read_by(method, others, asked, self.properties))
        return Predictions(beside_copies(pd.concat(answers, ignore_index=True)))

    def _known(self, setting: Setting) -> list[Population]:
        """Measured models that readers are fitted to."""
        found = [self._taken(each.without("test")) for each in setting.sources]
        return [each for each in found if len(each)]

    def _taken(self, population: Population) -> Population:
        """The checkpoints whose landscape was measured."""
        if "cell" not in population.table:
            return population.select(np.zeros(len(population), dtype=bool))
        return population.select(population.table["cell"].notna())


LANDSCAPE_PREDICTION = LandscapePrediction()
PHASE_PREDICTION = LandscapePrediction(properties=PHASES)
