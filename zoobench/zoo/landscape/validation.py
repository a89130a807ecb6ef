"""Find what is wrong with the landscape of a zoo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from zoo_generation.files import StoragePath, files_in
from zoobench.zoo.landscape.phases import PHASES
from zoobench.zoo.landscape.table import FOLDER, FORMAT_OF_CARD, read_card, read_cell
from zoobench.zoo.part_validation import PartFindings, Problem, told

BOUNDS = {
    "cka": (0.0, 1.0),
    "cka_logits": (0.0, 1.0),
    "l2_distance": (0.0, float("inf")),
    "mode_connectivity": (-100.0, 100.0),
    **dict.fromkeys(("late_average_gain", "matched_average_gain", "ensemble_gain"), (-1.0, 1.0)),
}
ROUNDING = 1e-9


def landscape_files(zoo: StoragePath) -> list[StoragePath]:
    """The files of its cells."""
    return files_in(zoo / FOLDER, "[!.]*.parquet") if (zoo / FOLDER).is_dir() else []


def check_landscape(zoo: StoragePath, parts: Sequence[PartFindings]) -> Iterator[Problem]:
    """What is wrong with the card and the tables of the landscape, if there is one, beside the zoo's parts."""
    files, problems = landscape_files(zoo), list[Problem]()
    if not files:
        return
    card = f"{FOLDER}/landscape.json"
    with told(problems, "landscape", card):
        found = read_card(zoo)
        if found is None or found.get("format") != FORMAT_OF_CARD:
            problems.append(Problem("landscape", card, f"its format must be {FORMAT_OF_CARD}"))
    saved = pd.concat([part.checkpoints[["model_id", "epoch"]] for part in parts if part.checkpoints is not None])
    known, seen = pd.MultiIndex.from_frame(saved), pd.MultiIndex.from_arrays([[], []])
    for file in files:
        name = f"{FOLDER}/{file.name}"
        with told(problems, "landscape", name):
            rows = read_cell(file).to_pandas()
            keys = pd.MultiIndex.from_frame(rows[["model_id", "epoch"]])
            problems += (Problem("landscape", name, what) for what in _wrong(rows))
            if not keys.isin(known).all():
                problems.append(Problem("landscape", name, "it is of a checkpoint that the zoo does not have"))
            if keys.has_duplicates or keys.isin(seen).any():
                problems.append(Problem("landscape", name, "it is of a checkpoint that is measured elsewhere too"))
            seen = seen.append(keys)
    yield from problems


def _wrong(rows: pd.DataFrame) -> Iterator[str]:
    for name, (low, high) in BOUNDS.items():
        values = rows[name].dropna()
        if not values.between(low - ROUNDING, high + ROUNDING).all():
            yield f"the column '{name}' must lie in [{low:g}, {high:g}]"
    if not rows["phase"].dropna().isin(PHASES).all():
        yield f"the column 'phase' must be one of {', '.join(PHASES)}"
