"""How models descend from each other: all trees of a population at once.

Sources: Horwitz et al., Unsupervised model tree heritage recovery, arXiv 2405.18432 (directed edges, by a spanning
arborescence of the least cost); Yu & Wang, Neural Phylogeny, ICLR 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from zoo_generation.errors import InputError
from zoobench.populations import Access, Population
from zoobench.populations.lineage import NONE, Lineage
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forest import forest
from zoobench.tasks.forms import ScoreForm
from zoobench.tasks.tracing import OF_A_PART, Asked, by_drift, tested_lineage, traced


@dataclass(frozen=True)
class ModelTree:
    """Recover who was trained from whom among test models, how many trees there may be.

    families: at most, of models with one initialization, whose trees are all taken; seed: of which. Scores of all pairs
    are handed in; the answer is the forest whose edges, from children to parents, have the largest sum of scores. An
    edge with a score of 0 or less is never in it.
    """

    families: int = 6
    seed: int = 0

    name: ClassVar[str] = "model_tree"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Recover which models were trained from which, in how many trees"
    paper: ClassVar[str] = "arXiv 2405.18432"
    primary: ClassVar[str] = "edge_f1"
    asks: ClassVar = Asked
    access: ClassVar[Access] = Access.IMAGES
    uses_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.families < 1 or self.seed < 0:
            raise InputError(
                f"model_tree was given {self.families} families and the seed {self.seed}; take 1 or more families, and "
                "a seed of 0 or more"
            )

    def reads(self, target: Population) -> Population:
        """The last checkpoints of all test models."""
        return Lineage.of(target.split("test")).models

    def form(self, setting: Setting) -> ScoreForm:
        """One row and one column per model, in an order that says nothing."""
        names = tuple(f"model-{number}" for number in range(len(self._drawn(setting.target)[1])))
        return ScoreForm(names, names)

    def ask(self, method: Asked, setting: Setting) -> Scores:
        """Trace all models among all. Methods see weights, and what all models have in common."""
        models, form = self.compared(setting)[0], self.form(setting)
        values = traced(method, models, models, setting.sources, setting.seed)
        return Scores(values.clone().fill_diagonal_(0.0), form.rows, form.columns)

    def compared(self, setting: Setting) -> tuple[Population, Population]:
        """The models, twice."""
        line, order = self._drawn(setting.target)
        models = line.models.taken(torch.from_numpy(order), OF_A_PART)
        return models, models

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        """One row per model.

        Columns: model, the family; tree, the number of its tree; found_tree, that of its tree in the answer; child,
        whether it has a parent; placed, whether the answer gives it one; right, whether that is the parent; joined,
        whether the answer has an edge between it and its parent, in either direction; agrees, whether the answer gives
        it the parent that it has, or none if it has none; drift, the distance to the parent, by that one's norm.
        """
        line, order = self._drawn(setting.target)
        found = np.full(len(line), NONE)
        for child, parent in enumerate(forest(answer.values)):
            if parent != NONE:
                found[order[child]] = order[parent]
        true, weights = line.parents, line.models.weights
        child, placed = true != NONE, found != NONE
        drift = (weights - weights[true]).norm(dim=1) / weights[true].norm(dim=1)
        return pd.DataFrame(
            {
                "model": line.families,
                "tree": line.roots,
                "found_tree": Lineage(line.models, found, line.families).roots,
                "child": child,
                "placed": placed,
                "right": child & (found == true),
                "joined": child & ((found == true) | (found[true] == np.arange(len(true)))),
                "agrees": found == true,
                "drift": np.where(child, drift.numpy(), np.nan),
            }
        )

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Of directed edges `edge_f1`, `precision` and `recall`; the last by drift too, such as `recall:far`; `joined`,
        the share of edges that are found in either direction, and `direction`, of these in the right one; `roots`, the
        share of first models that are given no parent; `exact`, of trees in which all have the parents that they have;
        `clusters`, the adjusted Rand index of the trees as sets. Intervals are of families drawn again.
        """
        rows = observations
        model, roots = rows["model"], rows[~rows["child"]]
        true, given, right = (rows[name].astype(float) for name in ("child", "placed", "right"))
        joined = rows["joined"].astype(float)
        exact = roots["tree"].map(rows.groupby("tree")["agrees"].all()).astype(float)
        found = {
            "edge_f1": Estimate.ratio(model, 2 * right, true + given),
            "precision": Estimate.ratio(model, right, given),
            "recall": Estimate.ratio(model, right, true),
            "joined": Estimate.ratio(model, joined, true),
            "direction": Estimate.ratio(model, right, joined),
            "roots": Estimate.mean(roots["model"], 1.0 - roots["placed"].astype(float)),
            "exact": Estimate.mean(roots["model"], exact),
            "clusters": Estimate.constant(float(adjusted_rand_score(rows["tree"], rows["found_tree"]))),
        }
        for name, some in by_drift(rows):
            found[f"recall:{name}"] = Estimate.mean(some["model"], some["right"].astype(float))
        return found

    def _drawn(self, target: Population) -> tuple[Lineage, NDArray[np.int64]]:
        """The models, and the order in which they are asked about, drawn by the task's seed alone."""
        random, lineage = np.random.default_rng(self.seed), tested_lineage(target)
        chosen = random.permutation(np.unique(lineage.families[lineage.parents != NONE]))[: self.families]
        line = lineage.among(chosen)
        return line, random.permutation(len(line))

    def work(self, checkpoints: int, train_images: int) -> Work:
        """The families' models, and training models to calibrate on."""
        return Work(models=40 * self.families)


MODEL_TREE = ModelTree()
