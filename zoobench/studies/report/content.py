"""The content of a report: the tidy tables of a study."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from zoobench.studies.relations import MEAN

SIGNS = {"better": "▲", "worse": "▼", "not distinguishable": "≈"}
"""Of verdicts, beside their words."""


@dataclass(frozen=True, eq=False)
class Report:
    """A study's name, tables and origin. An empty table still has its columns.

    `relation` is "ID", "OOD dataset", "OOD architecture", "OOD both", or "–" if `composition` is.
    Any mean, std, low or high may be NaN.
    """

    title: str
    description: str
    """A paragraph or more, or nothing."""
    compositions: pd.DataFrame
    """One row per composition: composition, zoos (text), and its training set: models, checkpoints, tokens (counts)."""
    fits: pd.DataFrame
    """composition, budget (words), method, seed; steps, epochs, core_seconds, loss, fall (numbers or NaN); converged
    ("yes", "no" or "unknown")."""
    summary: pd.DataFrame
    """composition, method, task, target, relation, metric; over seeds: mean, std, seeds; low, high (95 % interval)."""
    measurements: pd.DataFrame
    """composition, method, task, target, relation, metric, seed, value."""
    comparisons: pd.DataFrame
    """question, task, metric, method, composition, against, targets (a target's name, or several such as "mean over
    ID"), difference, low, high, verdict ("better", "worse" or "not distinguishable"), sentence,
    converged ("both", "not both" or "unknown")."""
    failures: pd.DataFrame
    """cell, reason."""
    primary: dict[str, str]
    """The metric that each task ranks by; higher is better."""
    made: dict[str, str]
    """How it was made: command, commit, hardware, versions, date, seeds, duration."""

    def answers(self) -> pd.DataFrame:
        """The sentences that answer the questions: question, sign and verdict, sentence.

        They are about means over several targets; about single ones where there is no such mean.
        """
        rows = self.comparisons
        means = rows["targets"].astype(str).str.startswith(MEAN).astype(bool)
        wanted = rows[means | ~rows["question"].isin(rows["question"][means])]
        signed = wanted["verdict"].map(SIGNS) + " " + wanted["verdict"]
        return wanted.assign(verdict=signed)[["question", "verdict", "sentence"]]
