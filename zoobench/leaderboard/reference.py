"""What judging needs of a track's zoo: some of its checkpoints, with what was measured of them.

It lies in the repository as a token set, so that verifying needs neither the zoo nor the machine that trained it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.leaderboard.track import Track
from zoobench.tasks.base import Task
from zoobench.tokens import KEPT, Population, TokenSet, write_token_set
from zoobench.tokens.card import Selection
from zoobench.tokens.selection import Selected, Source

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
    """Where the reference of a zoo lies."""
    return leaderboards / "zoos" / zoo / "reference"


def write_reference(path: Path, zoo: str, population: Population, tasks: Iterable[Task], token_size: int) -> None:
    """Write those checkpoints of a zoo of one population that judging reads in any of the tasks."""
    parts = [task.judged(population).table[KEYS] for task in tasks]
    read = pd.MultiIndex.from_frame(pd.concat(parts).drop_duplicates())
    chosen = population.select(pd.MultiIndex.from_frame(population.table[KEYS]).isin(read))
    source = Source(zoo, chosen.tokenizer, chosen.table, lambda rows: chosen.weights[rows])
    selection = Selection(zoos=[zoo], statuses=list(KEPT), first_epoch=1, split_seed=0)
    write_token_set(path, Selected(token_size, chosen.tokenizer.batch_norm, selection, (source,)))


def is_recorded(leaderboards: Path, track: Track) -> bool:
    """Whether what judging needs of a track's targets is there."""
    return all((reference_path(leaderboards, target) / "tokens.json").exists() for target in track.targets)


def read_references(leaderboards: Path, track: Track) -> dict[str, Population]:
    """The reference of each target of a track; raises `InputError` where one is not there, or damaged."""
    populations = {}
    for target in track.targets:
        path = reference_path(leaderboards, target)
        if not is_recorded(leaderboards, track):
            raise InputError(
                f"the track {track.name} cannot be judged yet, since nobody has recorded its zoo {target}; build it "
                f"with 'zoobench leaderboard rebuild {track.name} --record'"
            )
        populations[target] = replace(TokenSet.read(path).populations[0], name=target)
    return populations
