"""What a track asks for, and what was handed in of it: read from an artefact, written to one, told apart by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.text import quoted
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.files import Refused
from zoobench.leaderboard.untrusted.tables import Columns, most_table_bytes, read_table
from zoobench.leaderboard.untrusted.tensors import LARGEST, Shapes, most_tensor_bytes, read_tensors
from zoobench.populations import Population
from zoobench.tasks import probe
from zoobench.tasks.base import Answer
from zoobench.tasks.probe import NUMBERS
from zoobench.tasks.reconstruction import Reconstruction

Answers = Mapping[tuple[str, int], Answer]
"""What is handed in, by target and seed."""

CLASS = 100
"""Letters that the name of a class may have."""

KEY = ["target", "seed", "checkpoint", "property"]
PREDICTED = ["predicted", "predicted_class"]
COLUMNS = Columns(
    {"target": "string", "seed": "int64", "checkpoint": "string", "property": "string"}
    | {"predicted": "double", "predicted_class": "string"},
    nullable=PREDICTED,
    longest=4 * CLASS,  # bytes of a letter in UTF-8
)


def asked(track: Track, reference: Population) -> pd.DataFrame:
    """What is to be predicted of a target under each seed: one row per checkpoint and property.

    Columns: checkpoint, the name under which it is asked for, see `Population.names`; model, epoch; property, kind
    (`number`, `class`). What is said of a checkpoint counts for all that have the same weights, and so the same name.
    """
    test = reference.split("test")
    rows = test.table[["model_id", "epoch"]].rename(columns={"model_id": "model"})
    rows.insert(0, "checkpoint", test.names)
    every = rows.merge(pd.DataFrame({"property": track.properties}), how="cross")
    kind = every["property"].isin(NUMBERS).map({True: "number", False: "class"})
    return every.assign(kind=kind).sort_values(["checkpoint", "property"], kind="stable", ignore_index=True)


def rows_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> pd.DataFrame:
    """All that is asked, of columns target, seed, checkpoint, model, epoch, property, kind: a row of `KEY` that stands
    in it several times is to be handed in once."""
    parts = []
    for target in track.targets:
        of_target = asked(track, references[target]).assign(target=target)
        parts += [of_target.assign(seed=seed) for seed in seeds]
    return pd.concat(parts, ignore_index=True)


def shapes_of(track: Track, references: Mapping[str, Population], seeds: Sequence[int]) -> Shapes:
    """The tensors that are to be handed in, one for each target and seed."""
    task = track.get_task()
    return {
        f"{target}/{seed}": (task.handed_in(references[target]), references[target].layout.size)
        for target in track.targets
        for seed in seeds
    }


def _asked_for(track: Track, reference: Population) -> Population | None:
    """The checkpoints of a target that are handed in again, in the order of their names; None if new models are."""
    task = track.get_task()
    return task.chosen(reference) if isinstance(task, Reconstruction) else None


def _as_judged(track: Track, reference: Population, handed_in: Tensor) -> Tensor:
    """Weights as they are handed in, in the order in which they are judged."""
    asked = _asked_for(track, reference)
    return handed_in if asked is None else handed_in[asked.order[1]]


def _as_handed_in(track: Track, reference: Population, judged: Tensor) -> Tensor:
    """Weights as they are judged, in the order in which they are handed in."""
    asked = _asked_for(track, reference)
    return judged if asked is None else judged[asked.order[0]]


def most_artefact_bytes(track: Track, references: Mapping[str, Population]) -> int:
    """Bytes that the file of a submission to a track has at most."""
    if track.holds == "weights":
        return most_tensor_bytes(shapes_of(track, references, track.all_seeds))
    return _most_of_table(rows_of(track, references, track.all_seeds))


def read_answers(track: Track, references: Mapping[str, Population], seeds: Sequence[int], content: bytes) -> Answers:
    """What an artefact holds; raises `Refused` for anything but what the track asks for."""
    if track.holds == "weights":
        weights = read_tensors(track.artefact, content, shapes_of(track, references, seeds))
        return {
            (target, seed): _as_judged(track, references[target], weights[f"{target}/{seed}"])
            for target in track.targets
            for seed in seeds
        }
    expected = rows_of(track, references, seeds)
    rows = len(expected[KEY].drop_duplicates())
    table = read_table(track.artefact, content, COLUMNS, rows, _most_of_table(expected))
    return answers_of(track.artefact, table, expected)


def write_answers(path: Path, track: Track, references: Mapping[str, Population], answers: Answers) -> None:
    """Write the file that a submission holds, in the order of names; of predictions those that the track asks for."""
    weights = {
        f"{target}/{seed}": _as_handed_in(track, references[target], each)
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
    schema = pa.schema([(column, pa.type_for_alias(kind)) for column, kind in COLUMNS.types.items()])
    pd.concat(tables, ignore_index=True)[schema.names].to_parquet(path, index=False, schema=schema)


def content_digest(answers: Answers) -> str:
    """SHA-256 (64 hexadecimal digits) of what is handed in, however it is written: a copy has the same."""
    digest = hashlib.sha256()
    for (target, seed), answer in sorted(answers.items(), key=lambda item: item[0]):
        digest.update(f"{target}:{seed}:".encode())
        if isinstance(answer, Tensor):
            digest.update((answer + 0.0).contiguous().numpy().tobytes())  # of -0.0, 0.0, which is the same number
            continue
        rows = answer.sort_values(probe.KEY)[[*probe.KEY, *PREDICTED]]
        for model, epoch, name, number, kind in rows.itertuples(index=False):
            told = (None, str(kind)) if pd.isna(number) else (float(number) + 0.0, None)
            digest.update(repr((str(model), int(epoch), str(name), *told)).encode())
    return digest.hexdigest()


def _most_of_table(expected: pd.DataFrame) -> int:
    longest = sum(int(expected[name].str.len().max()) for name in ("target", "checkpoint", "property"))
    return most_table_bytes(COLUMNS, len(expected), longest + COLUMNS.longest)


def answers_of(name: str, table: pd.DataFrame, expected: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """Predictions by target and seed, of columns model, epoch, property, predicted, predicted_class.

    Raises `Refused` unless the table has each of the expected rows once and no other, and each prediction is a number
    or a class, as its property is.
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
    columns = [*probe.KEY, *PREDICTED]
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
    return "there is no such row"


def _more(rows: pd.MultiIndex) -> str:
    return f" (and {len(rows) - 1} more rows are no better)" if len(rows) > 1 else ""
