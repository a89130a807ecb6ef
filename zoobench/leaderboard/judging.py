"""From what was handed in to scores: the same for those who run a track, those who submit, and those who verify."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from zoobench.evaluation.statistics import interval
from zoobench.leaderboard.entry import Score
from zoobench.leaderboard.track import Track
from zoobench.populations import Population
from zoobench.tasks.base import Answer, Setting
from zoobench.tasks.estimates import Sums
from zoobench.tasks.probe import KEY, NUMBERS

Answers = Mapping[tuple[str, int], Answer]
"""What is handed in, by target and seed."""

PREDICTED = {"predicted": "number", "predicted_class": "class"}


def asked(track: Track, reference: Population) -> pd.DataFrame:
    """What is to be predicted of a target under each seed.

    Columns: checkpoint, the name under which it is asked for, see `Population.names`; model, epoch; property, kind
    (`number`, `class`). What is said of a checkpoint counts for all that have the same weights, and so the same name.
    """
    test = reference.split("test")
    rows = test.table[["model_id", "epoch"]].rename(columns={"model_id": "model"})
    rows.insert(0, "checkpoint", test.names)
    every = rows.merge(pd.DataFrame({"property": track.properties}), how="cross")
    kind = every["property"].isin(NUMBERS).map({True: "number", False: "class"})
    return every.assign(kind=kind).sort_values(["checkpoint", "property"], kind="stable", ignore_index=True)


def judge(
    track: Track, references: Mapping[str, Population], answers: Answers, seeds: Sequence[int], data_root: Path | None
) -> tuple[Score, ...]:
    """The scores of what was handed in for every target under each of the seeds, by every metric of the track.

    Raises `InputError` where images that the task needs cannot be read.
    """
    task, scores = track.get_task(), []
    for target in track.targets:
        observed = []
        for seed in seeds:
            setting = Setting(references[target], (), seed, data_root)
            observed.append(task.judge(answers[target, seed], setting))
        values, sums = [task.score(each) for each in observed], [task.sums(each) for each in observed]
        scores += [_score(target, metric, values, sums) for metric in track.metrics]
    return tuple(scores)


def _score(
    target: str, metric: str, scored: Sequence[Mapping[str, float]], summed: Sequence[Mapping[str, Sums]]
) -> Score:
    """Of values, and of sums over models where there are such, by metric, one a seed."""
    values = [each.get(metric, math.nan) for each in scored]
    bounds = interval([each.get(metric, Sums.constant(value)) for each, value in zip(summed, values, strict=True)])
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


def content_digest(answers: Answers) -> str:
    """SHA-256 (64 hexadecimal digits) of what is handed in, however it is written: a copy has the same."""
    digest = hashlib.sha256()
    for (target, seed), answer in sorted(answers.items(), key=lambda item: item[0]):
        digest.update(f"{target}:{seed}:".encode())
        if isinstance(answer, Tensor):
            digest.update((answer + 0.0).contiguous().numpy().tobytes())  # of -0.0, 0.0, which is the same number
            continue
        rows = answer.sort_values(KEY)[[*KEY, *PREDICTED]]
        for model, epoch, name, number, kind in rows.itertuples(index=False):
            told = (None, str(kind)) if pd.isna(number) else (float(number) + 0.0, None)
            digest.update(repr((str(model), int(epoch), str(name), *told)).encode())
    return digest.hexdigest()
