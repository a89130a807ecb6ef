"""Predictions of properties that are classes: which there are; numbers are the same however they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from zoo_generation.networks.architectures import import_architecture
from zoo_generation.text import quoted
from zoo_generation.training.spec import ZooSpec
from zoobench.leaderboard.judging import Answers
from zoobench.leaderboard.running import study_of
from zoobench.leaderboard.track import Track, spec_path
from zoobench.leaderboard.untrusted.refusal import Refused
from zoobench.populations import Population
from zoobench.tasks.probe import NUMBERS, as_classes

INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LISTED = 20
"""Classes that are named, at most, where one is given that there is not."""


def trained_classes(leaderboards: Path, track: Track) -> dict[str, list[str]]:
    """By property, the classes that models of a track's training zoos have, as their specs say, sorted.

    None of a property that specs do not tell of, nor where a zoo has no spec.
    """
    if not all(spec_path(leaderboards, zoo).exists() for zoo in track.zoos):
        return {}
    study, models = study_of(leaderboards, track), []
    for zoo in track.training:
        spec = study.zoo(zoo)
        if not isinstance(spec, ZooSpec):
            return {}
        for architecture in spec.user_architectures():
            import_architecture(architecture)
        models += spec.models()
    return {
        name: classes_of(pd.Series([getattr(model, name) for model in models]))
        for name in track.properties
        if name not in NUMBERS and hasattr(models[0], name)
    }


def classes_of(column: pd.Series) -> list[str]:
    """The classes that a column holds, as they are spelled, numbers by size."""
    return sorted(set(as_classes(column)), key=_order)


def as_spelled(leaderboards: Path, track: Track, references: Mapping[str, Population], answers: Answers) -> Answers:
    """Predictions whose classes are spelled as the track spells them; a number is the same however it is written.

    Raises `Refused` for a class that neither a training model has, by its zoo's spec, nor a model that is asked about.
    """
    if track.holds == "weights":
        return answers
    trained = trained_classes(leaderboards, track)
    spelled, problems = {}, {}
    for (target, seed), answer in answers.items():
        assert not isinstance(answer, Tensor), "a track holds one kind of answers"
        table = references[target].split("test").table
        classes = answer["predicted_class"].copy()
        for name in trained:
            rows = answer["property"] == name
            known = {_value(each): each for each in (*trained[name], *as_classes(table[name]))}
            given = classes[rows].map(_value)
            for strange in classes[rows][~given.isin(known)].unique()[:1]:
                listed = ", ".join(trained[name][:LISTED]) + (", …" if len(trained[name]) > LISTED else "")
                problems[name] = f"{track.artefact}: '{quoted(strange, 60)}' is no class of {name}, which are {listed}"
            classes[rows] = given.map(known)
        spelled[target, seed] = answer.assign(predicted_class=classes)
    if problems:
        raise Refused(problems.values())
    return spelled


def _value(text: str) -> int | float | str:
    """What is written, as a number where it is one."""
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _order(text: str) -> tuple[float, str]:
    """Numbers by size, before words."""
    value = _value(text)
    return (float("inf"), text) if isinstance(value, str) else (value, text)
