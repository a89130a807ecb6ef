"""A method run on a track: the study that does it, and what is handed in of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.evaluation import Results
from zoobench.leaderboard.asked import KEY
from zoobench.leaderboard.judging import Answers, asked
from zoobench.leaderboard.track import Track, zoo_fields
from zoobench.leaderboard.untrusted.tables import COLUMNS
from zoobench.leaderboard.untrusted.tensors import as_handed_in
from zoobench.methods.registry import get_method
from zoobench.populations import Population
from zoobench.studies.study import Composition, MethodChoice, Study
from zoobench.tasks.answers import Predictions

TRAINING = "training"


def study_of(leaderboards: Path, track: Track, method: str | None = None, choice: MethodChoice | None = None) -> Study:
    """The study that measures a method, in a configuration, on a track; without one, that of the track's zoos alone."""
    return Study(
        name=track.name,
        zoos={zoo: zoo_fields(leaderboards, zoo) for zoo in track.zoos},
        compositions={TRAINING: Composition(zoos=track.training)},
        targets=track.targets,
        methods={method: choice or MethodChoice()} if method else {},
        baselines=False,
        tasks={track.task: track.settings},
        seeds=track.seeds,
    )


def answers_of(results: Results) -> Answers:
    """What was measured, as it is handed in; raises `InputError` where the task could not be done on a target."""
    answers: dict[tuple[str, int], pd.DataFrame | Tensor] = {}
    for cell in results.plan.cells:
        answer = results.cells.answer(cell)
        if answer is None:
            raise InputError(
                f"{cell.fit.method.name} cannot do {cell.task.name} on {cell.target.name}, which does not fit what it "
                "is or was trained on; leave this track to other methods"
            )
        answers[cell.target.name, cell.fit.seed] = answer.table if isinstance(answer, Predictions) else answer.weights
    return answers


def check_applicable(track: Track, method: str) -> None:
    """Raise `InputError` where a method does nothing that a track asks for."""
    if not track.get_task().asks(get_method(method).kind):
        raise InputError(f"{method} does not do what the track {track.name} asks for ({track.task.replace('_', ' ')})")


def write_answers(path: Path, track: Track, references: Mapping[str, Population], answers: Answers) -> None:
    """Write the file that a submission holds, in the order of names; of predictions those that the track asks for."""
    weights = {
        f"{target}/{seed}": as_handed_in(track, references[target], each)
        for (target, seed), each in answers.items()
        if isinstance(each, Tensor)
    }
    if track.holds == "weights":
        save_file({name: each.contiguous() for name, each in weights.items()}, path)
        return
    tables = []
    for (target, seed), predictions in answers.items():
        assert isinstance(predictions, pd.DataFrame), "a track holds one kind of answers"
        wanted = asked(track, references[target]).drop(columns="kind")
        rows = wanted.merge(predictions, on=["model", "epoch", "property"], validate="one_to_one")
        tables.append(rows.assign(target=target, seed=seed).drop_duplicates(KEY))
    schema = pa.schema([(column, pa.type_for_alias(kind)) for column, kind in COLUMNS.items()])
    pd.concat(tables, ignore_index=True)[schema.names].to_parquet(path, index=False, schema=schema)
