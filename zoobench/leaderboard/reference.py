"""What judging needs of a track's zoo: some of its checkpoints, with their measurements.

It is in the repository as a token set, so verifying needs neither the zoo nor the machine that trained it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.names import inside
from zoobench.leaderboard.fingerprints import FILE, write_fingerprints
from zoobench.leaderboard.track import Track
from zoobench.populations import Population, TokenSet, write_token_set
from zoobench.populations.selection import Selection
from zoobench.tasks.base import Task

KEYS = ["model_id", "epoch"]


def population_digest(population: Population) -> str:
    """SHA-256 (64 hexadecimal digits) of checkpoints: which, in which split, and their weights."""
    digest = hashlib.sha256()
    order = population.table.sort_values(KEYS).index
    names = population.table.loc[order, [*KEYS, "split"]].itertuples(index=False)
    for place, name in zip(order, names, strict=True):
        digest.update(repr(tuple(name)).encode())
        digest.update(population.weights[place].contiguous().numpy().tobytes())
    return digest.hexdigest()


def reference_path(leaderboards: Path, zoo: str) -> Path:
    """The path of a zoo's reference."""
    return inside(leaderboards / "zoos", zoo) / "reference"


def write_reference(path: Path, zoo: str, population: Population, tasks: Iterable[Task], token_size: int) -> None:
    """Write the checkpoints of a zoo of one population that judging reads in any of the tasks; nothing if it is the
    target of none.

    Beside the folder, write fingerprints of all training and validation models, by which copies are recognised.
    """
    if parts := [task.reads(population).table[KEYS] for task in tasks]:
        read = pd.MultiIndex.from_frame(pd.concat(parts).drop_duplicates())
        chosen = population.select(pd.MultiIndex.from_frame(population.table[KEYS]).isin(read))
        write_token_set(path, Selection.of([replace(chosen, name=zoo)], token_size))
    write_fingerprints(path.parent / FILE, population)


def is_recorded(leaderboards: Path, track: Track) -> bool:
    """Whether the references of a track's targets exist."""
    return not _missing(leaderboards, track)


def _missing(leaderboards: Path, track: Track) -> list[str]:
    """The targets of a track that have no reference."""
    return [each for each in track.targets if not (reference_path(leaderboards, each) / "tokens.json").exists()]


def read_references(leaderboards: Path, track: Track) -> dict[str, Population]:
    """The reference of each target of a track. Raises `InputError` if one is missing or damaged."""
    if missing := _missing(leaderboards, track):
        raise InputError(
            f"the track {track.name} cannot be judged yet, because nobody has recorded its zoo {missing[0]}; build it "
            f"with 'zoobench leaderboard rebuild {track.name} --record'"
        )
    sets = {target: TokenSet.read(reference_path(leaderboards, target)) for target in track.targets}
    return {target: replace(tokens.populations[0], name=target) for target, tokens in sets.items()}
