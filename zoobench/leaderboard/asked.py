"""Which predictions are asked for, and what is wrong with those that were handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from zoo_generation.text import quoted
from zoobench.leaderboard.judging import asked
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.refusal import Refused
from zoobench.leaderboard.untrusted.tensors import LARGEST
from zoobench.populations import Population
from zoobench.tasks import probe

CLASS = 100
"""Letters that the name of a class may have."""

KEY = ["target", "seed", "checkpoint", "property"]


def rows_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> pd.DataFrame:
    """All that is asked, of columns target, seed, checkpoint, model, epoch, property, kind: a row of `KEY` that stands
    in it several times is to be handed in once."""
    parts = []
    for target in track.targets:
        of_target = asked(track, references[target]).assign(target=target)
        parts += [of_target.assign(seed=seed) for seed in seeds]
    return pd.concat(parts, ignore_index=True)


def answers_of(name: str, table: pd.DataFrame, expected: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """Predictions by target and seed, of columns model, epoch, property, predicted, predicted_class.

    Raises `Refused` unless the table has each of the expected rows once, and no other, and all predictions are such as
    their property has.
    """
    if table["checkpoint"].isin(_former_names(expected)).any():
        raise Refused(
            [
                f"{name} names checkpoints as an earlier zoobench did, which told what they are of; run 'zoobench "
                "leaderboard data' again, and hand in the same under the names that it writes now"
            ]
        )
    if problems := list(_wrong_rows(table, expected)):
        raise Refused(f"{name}: {problem}" for problem in problems)
    table = table.merge(expected, on=KEY)
    if problems := list(_wrong_values(table)):
        raise Refused(f"{name}: {problem}" for problem in problems)
    columns = [*probe.KEY, "predicted", "predicted_class"]
    pairs = expected[["target", "seed"]].drop_duplicates().itertuples(index=False)
    return {
        (str(target), int(seed)): table.loc[(table["target"] == target) & (table["seed"] == seed), columns].reset_index(
            drop=True
        )
        for target, seed in pairs
    }


def _former_names(expected: pd.DataFrame) -> set[str]:
    """The names under which these checkpoints were asked for before names were those of weights."""
    models = expected[["model", "epoch"]].drop_duplicates().itertuples(index=False)
    return {hashlib.sha256(f"checkpoint:{model}:{epoch}".encode()).hexdigest()[:16] for model, epoch in models}


def _wrong_rows(table: pd.DataFrame, expected: pd.DataFrame) -> Iterator[str]:
    """Rows that are not asked for, that stand twice, that are missing."""
    given, wanted = (pd.MultiIndex.from_frame(each[KEY]) for each in (table, expected))
    strange = given[~given.isin(wanted)].unique()
    if len(strange):
        yield f"{_row(strange[0])} is not asked for: {_why(strange[0], expected)}{_more(strange)}"
    twice = given[given.duplicated()].unique()
    if len(twice):
        yield f"{_row(twice[0])} stands in it twice{_more(twice)}"
    for target in expected["target"].unique():
        if target not in set(table["target"]):
            yield f"it lacks the target '{target}'"
    for seed in expected["seed"].unique():
        if seed not in set(table["seed"]):
            yield f"it lacks the seed {seed}"
    missing = wanted[~wanted.isin(given)]
    if len(missing):
        yield f"{_row(missing[0])} is missing{_more(missing)}"


def _wrong_values(table: pd.DataFrame) -> Iterator[str]:
    number, is_class = table["kind"] == "number", table["predicted_class"].notna()
    with np.errstate(invalid="ignore"):
        fine = table["predicted"].abs() <= LARGEST
    length = table["predicted_class"].str.len().fillna(0)
    rules = {
        f"needs a finite number in 'predicted', of at most {LARGEST:g}": number & ~fine,
        "is a number's, and must have null in 'predicted_class'": number & is_class,
        "needs a class in 'predicted_class'": ~number & ~is_class,
        "is a class's, and must have null in 'predicted'": ~number & table["predicted"].notna(),
        f"has an empty class, or one of more than {CLASS} letters": ~number & is_class & ~length.between(1, CLASS),
    }
    for words, wrong in rules.items():
        if wrong.any():
            rows = pd.MultiIndex.from_frame(table.loc[wrong, KEY])
            yield f"{_row(rows[0])} {words}{_more(rows)}"


def _row(key: tuple[object, ...]) -> str:
    target, seed, checkpoint, name = (quoted(part, 60) for part in key)
    return f"the row of target '{target}', seed {seed}, checkpoint '{checkpoint}', property '{name}'"


def _why(key: tuple[object, ...], expected: pd.DataFrame) -> str:
    rows = expected
    for column, value in zip(KEY, key, strict=True):
        left = rows[rows[column] == value]
        if left.empty:
            known = [quoted(each, 60) for each in rows[column].unique()]
            return f"its {column} is none of {', '.join(known[:6])}{', …' if len(known) > 6 else ''}"
        rows = left
    return "it is no such row"


def _more(rows: pd.MultiIndex) -> str:
    return f" (and {len(rows) - 1} more rows are no better)" if len(rows) > 1 else ""
