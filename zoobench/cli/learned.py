"""The fitted method that a command works with: one that the user kept, or that of the zoos, as `eval` makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import SUMS, sums_of
from zoo_generation.kept import check
from zoo_generation.training.sink import Status
from zoobench.evaluation import Stage, fitted, fitted_path, token_set
from zoobench.methods.protocols import FittedModel
from zoobench.methods.registry import Method
from zoobench.methods.sane import Sane
from zoobench.populations import Population, Tokenizer
from zoobench.zoo import Zoo


@dataclass(frozen=True)
class Fitted:
    """A fitted method, 16 hexadecimal digits of the SHA-256 of its files, and the zoos' populations in its tokens."""

    name: str
    learned: FittedModel
    digest: str
    populations: tuple[Population, ...]


def fitted_method(
    method: Method,
    config: object,
    folder: Path | None,
    zoos: Sequence[Zoo],
    statuses: Sequence[Status],
    seed: int,
    runs: Path,
    stage: Stage,
) -> Fitted:
    """The method in `folder`; without one, that which is kept under `runs` for these zoos, or is fitted to them now.

    Raises `InputError` where the folder holds no such method, or one that is not what was written.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give --from one in which a trained {method.name} was saved")
    key, tokens = token_set(zoos, statuses, runs, stage)
    if folder is None:
        learned = fitted(method, config, tokens, seed, runs / key, stage)
        folder = fitted_path(method, config, seed, runs / key)
    else:
        learned = _read(method, folder)
    populations = tokens.populations
    if isinstance(learned, Sane) and learned.token_size != tokens.token_size:
        populations = tuple(_in_tokens_of(population, learned.token_size) for population in populations)
    return Fitted(method.name, learned, _digest(folder), populations)


def _read(method: Method, folder: Path) -> FittedModel:
    if (folder / SUMS).exists():  # it lacks them where it was saved by an older zoobench, or by a script
        check(folder, f"the trained {method.name}", "train it again, or restore it")
    try:
        return method.load(folder)
    except InputError as error:
        raise InputError(f"{folder} holds no trained {method.name} that can be read ({error})") from None


def _in_tokens_of(population: Population, size: int) -> Population:
    return replace(population, tokenizer=Tokenizer.of(population.layout, size, population.tokenizer.batch_norm))


def _digest(folder: Path) -> str:
    return hashlib.sha256(sums_of(folder).encode()).hexdigest()[:16]
