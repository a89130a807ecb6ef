"""Compute scores from answers, in the same way for running a track, submitting and verifying."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo_generation.data.load import ImageStore
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.text import quoted
from zoo_generation.training.spec import ZooSpec
from zoobench.evaluation.statistics import interval
from zoobench.leaderboard.answers import Answers, content_digest, setting_of
from zoobench.leaderboard.entry import Score
from zoobench.leaderboard.reference import population_digest
from zoobench.leaderboard.track import Track, spec_path, zoo_spec
from zoobench.leaderboard.untrusted.files import Refused
from zoobench.populations import Population
from zoobench.tasks.answers import Answer, Predictions, Weights
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.probe import as_classes, is_number, recorded

INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LISTED = 20
"""How many known classes a message lists, at most, if an unknown one is given."""


def judge(
    track: Track, references: Mapping[str, Population], answers: Answers, seeds: Sequence[int], data_root: Path | None
) -> tuple[Score, ...]:
    """The scores of the answers for every target under each of the seeds, by every metric of the track.

    Raises `InputError` if images that the task needs cannot be read.
    """
    task, images = track.get_task(), ImageStore(data_root)
    estimates = {}
    for target in track.targets:
        settings = [setting_of(references, target, seed, images) for seed in seeds]
        judged = [task.judge(answers[target, each.seed], each) for each in settings]
        estimates[target] = [task.score(observations) for observations in judged]
    return scores_of(track, estimates)


def scores_of(track: Track, estimates: Mapping[str, Sequence[Mapping[str, Estimate]]]) -> tuple[Score, ...]:
    """The scores of the track's metrics for every target. estimates: by target, of each seed, by metric."""
    return tuple(_score(target, metric, estimates[target]) for target in track.targets for metric in track.metrics)


def remember(
    track: Track,
    references: Mapping[str, Population],
    answers: Answers,
    seeds: Sequence[int],
    data_root: Path | None,
    scores: tuple[Score, ...],
) -> None:
    """Keep in this process what judging these answers gave, for `judged_before`; unless a file would not hold them
    whole."""
    beside = [value for each in answers.values() if isinstance(each, Weights) for value in (each.draws, each.of_copies)]
    if all(value is None for value in beside):
        _judged()[_key(track, references, answers, seeds, data_root)] = scores


def judged_before(
    track: Track, references: Mapping[str, Population], answers: Answers, seeds: Sequence[int], data_root: Path | None
) -> tuple[Score, ...] | None:
    """As `judge`, if this process has judged answers of the same content. None if it has not."""
    return _judged().get(_key(track, references, answers, seeds, data_root))


def _key(
    track: Track, references: Mapping[str, Population], answers: Answers, seeds: Sequence[int], data_root: Path | None
) -> Hashable:
    read = tuple(population_digest(references[target]) for target in track.targets)
    return track.model_dump_json(), read, content_digest(answers), tuple(seeds), data_root


@cache
def _judged() -> dict[Hashable, tuple[Score, ...]]:
    return {}


def _score(target: str, metric: str, estimates: Sequence[Mapping[str, Estimate]]) -> Score:
    """From estimates by metric, one mapping per seed."""
    known = [each.get(metric, Estimate.constant(math.nan)) for each in estimates]
    values, bounds = [each.value() for each in known], interval(known)
    return Score(
        target=target,
        metric=metric,
        mean=_finite(np.mean(values)),
        std=_finite(np.std(values, ddof=1)) if len(values) > 1 else None,
        low=_finite(bounds.low),
        high=_finite(bounds.high),
        values=tuple(_finite(value) for value in values),
    )


def _finite(value: float | np.floating[Any]) -> float | None:
    return float(value) if math.isfinite(value) else None


def trained_classes(leaderboards: Path, track: Track) -> dict[str, list[str]]:
    """By property, the classes that models of a track's training zoos have, as their specs say, sorted.

    Properties that specs do not give are left out; so are all if a zoo has no spec.
    """
    if not all(spec_path(leaderboards, zoo).exists() for zoo in track.zoos):
        return {}
    models = []
    for zoo in track.training:
        if not isinstance(spec := zoo_spec(leaderboards, zoo), ZooSpec):
            return {}
        for architecture in spec.user_architectures():
            import_architecture(architecture)
        models += spec.models()
    return {
        name: classes_of(pd.Series([getattr(model, recorded(name)) for model in models]))
        for name in track.properties
        if not is_number(recorded(name)) and hasattr(models[0], recorded(name))
    }


def classes_of(column: pd.Series) -> list[str]:
    """The classes in a column as they are spelled, numbers by size."""
    return sorted(set(as_classes(column)), key=_order)


def as_spelled(leaderboards: Path, track: Track, references: Mapping[str, Population], answers: Answers) -> Answers:
    """Predictions with classes spelled as the track spells them; the same number counts however it is written.

    Raises `Refused` for a class that no training model has, by its zoo's spec, and no model that is asked about.
    """
    if track.holds != "predictions":
        return answers
    trained = trained_classes(leaderboards, track)
    spelled: dict[tuple[str, int], Answer] = {}
    problems = {}
    for (target, seed), answer in answers.items():
        assert isinstance(answer, Predictions), "a track holds one kind of answers"
        given, table = answer.table, references[target].split("test").table
        classes = given["predicted_class"].copy()
        for name in trained:
            rows = given["property"] == name
            known = {_value(each): each for each in (*trained[name], *as_classes(table[recorded(name)]))}
            values = classes[rows].map(_value)
            for strange in classes[rows][~values.isin(known)].unique()[:1]:
                listed = ", ".join(trained[name][:LISTED]) + (", …" if len(trained[name]) > LISTED else "")
                problems[name] = (
                    f"{track.artefact}: '{quoted(strange, 60)}' is not among the classes of {name}: {listed}"
                )
            classes[rows] = values.map(known)
        spelled[target, seed] = Predictions(given.assign(predicted_class=classes))
    if problems:
        raise Refused(problems.values())
    return spelled


def _value(text: str) -> int | float | str:
    """The text, as a number if it is one."""
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _order(text: str) -> tuple[float, str]:
    """Numbers by size, before words."""
    value = _value(text)
    return (float("inf"), text) if isinstance(value, str) else (value, text)
