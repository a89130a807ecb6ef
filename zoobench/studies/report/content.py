"""The content of a report: the tidy tables of a study."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from zoobench.studies.relations import MEAN

HEADLINES = ("zero_shot", "generation")
"""Tasks that a report begins with, the first that is there."""

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
    effects: pd.DataFrame
    """As `StudyResults.effects`."""
    against_baselines: pd.DataFrame
    """As `StudyResults.against_baselines`."""
    curves: pd.DataFrame
    """As of `curves_over`, over datasets and over models."""
    comparisons: pd.DataFrame
    """question, task, metric, method, composition, against, targets (a target's name, or several such as "mean over
    ID"), difference, low, high, p, holm (p corrected for the comparisons of the question), verdict ("better", "worse"
    or "not distinguishable"), sentence, converged ("both", "not both" or "unknown")."""
    failures: pd.DataFrame
    """cell, reason."""
    primary: dict[str, str]
    """The metric that each task ranks by; higher is better."""
    made: dict[str, str]
    """How it was made: command, commit, hardware, versions, date, seeds, duration."""

    @property
    def headline(self) -> str | None:
        """The task that the first page is about. None if no task has effects."""
        there = [*self.effects["task"], *self.against_baselines["task"]]
        return next((task for task in (*HEADLINES, *there) if task in there), None)

    def findings(self) -> list[str]:
        """At most three sentences: what more models do, what further datasets do, and what learning adds."""
        ours, beside = (table[table["task"] == self.headline] for table in (self.effects, self.against_baselines))
        chosen = [
            rows.sort_values("relation", ascending=False, kind="stable")["sentence"].head(1)
            for rows in (
                ours[ours["factor"].str.startswith("each doubling")],
                ours[ours["factor"].str.startswith("each further dataset")],
            )
        ]
        best = beside.sort_values("effect", ascending=False, kind="stable").drop_duplicates("baseline")
        chosen.append(best.sort_values("effect", kind="stable")["sentence"].head(1))
        return [str(sentence) for sentences in chosen for sentence in sentences]

    def answers(self) -> pd.DataFrame:
        """The sentences that answer the questions: question, sign and verdict, sentence.

        They are about means over several targets; about single ones where there is no such mean.
        """
        rows = self.comparisons
        means = rows["targets"].astype(str).str.startswith(MEAN).astype(bool)
        wanted = rows[means | ~rows["question"].isin(rows["question"][means])]
        signed = wanted["verdict"].map(SIGNS) + " " + wanted["verdict"]
        return wanted.assign(verdict=signed)[["question", "verdict", "sentence"]]
