"""Answers that a track asks for: read them from an artefact, write them to one, and identify them by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.text import quoted
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.files import Refused
from zoobench.leaderboard.untrusted.tables import Columns, most_table_bytes, read_table
from zoobench.leaderboard.untrusted.tensors import LARGEST, Shapes, most_tensor_bytes, read_tensors
from zoobench.populations import Population
from zoobench.tasks.answers import Answer, Predictions, Scores, Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.forms import ITEM, VALUES, Form, PredictionForm, ScoreForm, WeightForm

Answers = Mapping[tuple[str, int], Answer]
"""The submitted answers, by target and seed."""

CLASS = 100
"""Largest number of letters in the name of a class."""

KEY = ["target", "seed", "checkpoint", "property"]
COLUMNS = Columns(
    {"target": "string", "seed": "int64", "checkpoint": "string", "property": "string"}
    | {"predicted": "double", "predicted_class": "string"},
    nullable=VALUES,
    longest=4 * CLASS,  # bytes of a letter in UTF-8
)


def setting_of(references: Mapping[str, Population], target: str, seed: int, images: ImageStore) -> Setting:
    """What judging reads for a target of a track under a seed."""
    others = tuple(each for name, each in references.items() if name != target)
    return Setting(references[target], (), seed, images, others=others)


def form_of(track: Track, references: Mapping[str, Population], target: str) -> Form:
    """What is asked of a target under each seed; for predictions, only the properties that the track reports."""
    form = track.get_task().form(setting_of(references, target, 0, ImageStore()))
    return form.of_properties(track.properties) if isinstance(form, PredictionForm) else form


def rows_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> pd.DataFrame:
    """All requested predictions: the columns of `PredictionForm.items`, target and seed. A row of `KEY` that is in it
    several times is submitted once."""
    parts = []
    for target in track.targets:
        form = form_of(track, references, target)
        assert isinstance(form, PredictionForm), "a track holds one kind of answers"
        parts += [form.items.assign(target=target, seed=seed) for seed in seeds]
    return pd.concat(parts, ignore_index=True)


def shapes_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> Shapes:
    """The tensors to submit, one for each target and seed."""
    shapes: dict[str, tuple[range, int]] = {}
    for target in track.targets:
        form = form_of(track, references, target)
        assert not isinstance(form, PredictionForm), "a track holds one kind of answers"
        for name in (f"{target}/{seed}" for seed in seeds):
            if isinstance(form, WeightForm):
                shapes |= {each: (form.models, size) for each, size in form.tensors(name).items()}
            else:
                shapes[name] = (range(len(form.rows), len(form.rows) + 1), len(form.columns))
    return shapes


def most_artefact_bytes(track: Track, references: Mapping[str, Population]) -> int:
    """The largest file size, in bytes, of a submission to a track."""
    if track.holds == "predictions":
        return _most_of_table(rows_of(track, references, track.all_seeds))
    return most_tensor_bytes(shapes_of(track, references, track.all_seeds))


def read_answers(track: Track, references: Mapping[str, Population], seeds: Sequence[int], content: bytes) -> Answers:
    """The answers in an artefact. Raises `Refused` for anything but what the track asks for."""
    if track.holds == "predictions":
        expected = rows_of(track, references, seeds)
        rows = len(expected[KEY].drop_duplicates())
        table = read_table(track.artefact, content, COLUMNS, rows, _most_of_table(expected))
        return answers_of(track.artefact, table, expected)
    tensors = read_tensors(track.artefact, content, shapes_of(track, references, seeds))
    answers: dict[tuple[str, int], Answer] = {}
    for target in track.targets:
        form = form_of(track, references, target)
        for seed in seeds:
            name = f"{target}/{seed}"
            tensor = tensors[name]
            if isinstance(form, WeightForm):
                beside = {each: form.judged(tensors[f"{name}/{each}"]) for each in form.beside}
                if strange := [each for each, values in beside.items() if len(values) != len(tensor)]:
                    raise Refused([f"{track.artefact}: '{name}/{strange[0]}' has not as many rows as '{name}'"])
                answers[target, seed] = Weights(form.judged(tensor), beside=beside)
            elif isinstance(form, ScoreForm):
                answers[target, seed] = Scores(tensor, form.rows, form.columns)
    return answers


def write_answers(path: Path, track: Track, references: Mapping[str, Population], answers: Answers) -> None:
    """Write a submission's file, in the order of names; predictions only for the requested properties."""
    forms = {target: form_of(track, references, target) for target in track.targets}
    tables: list[pd.DataFrame] = []
    tensors: dict[str, Tensor] = {}
    for (target, seed), answer in answers.items():
        form = forms[target]
        if isinstance(answer, Predictions) and isinstance(form, PredictionForm):
            wanted = form.items.drop(columns="kind")
            rows = wanted.merge(answer.table, on=ITEM, validate="one_to_one")
            tables.append(rows.assign(target=target, seed=seed).drop_duplicates(KEY).reindex(columns=[*KEY, *VALUES]))
        elif isinstance(answer, Weights) and isinstance(form, WeightForm):
            name = f"{target}/{seed}"
            every = {name: answer.weights} | {f"{name}/{each}": values for each, values in answer.beside.items()}
            tensors |= {each: form.handed_in(values).contiguous() for each, values in every.items()}
        elif isinstance(answer, Scores):
            tensors[f"{target}/{seed}"] = answer.values.contiguous()
    if track.holds != "predictions":
        save_file(tensors, path)
        return
    schema = pa.schema([(column, pa.type_for_alias(kind)) for column, kind in COLUMNS.types.items()])
    pd.concat(tables, ignore_index=True)[schema.names].to_parquet(path, index=False, schema=schema)


def content_digest(answers: Answers) -> str:
    """SHA-256 (64 hexadecimal digits) of the answers, however they are written: copies have the same."""
    digest = hashlib.sha256()
    for (target, seed), answer in sorted(answers.items(), key=lambda item: item[0]):
        digest.update(f"{target}:{seed}:".encode())
        if not isinstance(answer, Predictions):
            beside = [] if isinstance(answer, Scores) else [answer.beside[name] for name in sorted(answer.beside)]
            for values in (answer.values if isinstance(answer, Scores) else answer.weights, *beside):
                digest.update((values + 0.0).contiguous().numpy().tobytes())  # makes -0.0 the same number as 0.0
            continue
        rows = answer.table.sort_values(ITEM)[[*ITEM, *VALUES]]
        for model, epoch, name, number, kind in rows.itertuples(index=False):
            told = (None, str(kind)) if pd.isna(number) else (float(number) + 0.0, None)
            digest.update(repr((str(model), int(epoch), str(name), *told)).encode())
    return digest.hexdigest()


def _most_of_table(expected: pd.DataFrame) -> int:
    longest = sum(int(expected[name].str.len().max()) for name in ("target", "checkpoint", "property"))
    return most_table_bytes(COLUMNS, len(expected), longest + COLUMNS.longest)


def answers_of(name: str, table: pd.DataFrame, expected: pd.DataFrame) -> dict[tuple[str, int], Predictions]:
    """Predictions by target and seed.

    Raises `Refused` unless the table has each of the expected rows once and no other, and each prediction is a number
    or a class, as its property is.
    """
    if table["checkpoint"].isin(_former_names(expected)).any():
        raise Refused(
            [
                f"{name} names checkpoints as an earlier zoobench did, which revealed their models; run 'zoobench "
                "leaderboard data' again, and submit the same under the names that it writes now"
            ]
        )
    if problems := list(_wrong_rows(table, expected)):
        raise Refused(f"{name}: {problem}" for problem in problems)
    table = table.merge(expected, on=KEY)
    if problems := list(_wrong_values(table)):
        raise Refused(f"{name}: {problem}" for problem in problems)
    found = {}
    for target, seed in expected[["target", "seed"]].drop_duplicates().itertuples(index=False):
        rows = table.loc[(table["target"] == target) & (table["seed"] == seed), [*ITEM, *VALUES]]
        found[str(target), int(seed)] = Predictions(rows.reset_index(drop=True))
    return found


def _former_names(expected: pd.DataFrame) -> set[str]:
    """The names under which these checkpoints were asked for before names were derived from weights."""
    models = expected[["model", "epoch"]].drop_duplicates().itertuples(index=False)
    return {hashlib.sha256(f"checkpoint:{model}:{epoch}".encode()).hexdigest()[:16] for model, epoch in models}


def _wrong_rows(table: pd.DataFrame, expected: pd.DataFrame) -> Iterator[str]:
    """Problems: rows that are not asked for, that occur twice, or that are missing."""
    given, wanted = (pd.MultiIndex.from_frame(each[KEY]) for each in (table, expected))
    strange = given[~given.isin(wanted)].unique()
    if len(strange):
        yield f"{_row(strange[0])} is not asked for: {_why(strange[0], expected)}{_more(strange)}"
    twice = given[given.duplicated()].unique()
    if len(twice):
        yield f"{_row(twice[0])} is in it twice{_more(twice)}"
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
    return "there is no such row"


def _more(rows: pd.MultiIndex) -> str:
    return f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
