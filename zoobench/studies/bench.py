"""The work of a study, one piece at a time, kept by content: what is there is not made again, by whichever study."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save_file

from zoo_generation.files import read_json, write_json
from zoo_generation.kept import check, is_kept, kept, save, sealed
from zoobench import __version__
from zoobench.methods.protocols import Execution, FittedModel, InapplicableError
from zoobench.methods.registry import get_method
from zoobench.populations import Population, TokenSet, select_checkpoints, write_token_set
from zoobench.studies.names import NO_COMPOSITION
from zoobench.studies.plan import Cell, Fit, Plan
from zoobench.studies.sources import Source
from zoobench.studies.study import Study
from zoobench.studies.training_sets import TrainingSet, training_set
from zoobench.tasks.base import Outcome, Setting, Task

FIT, CELL = "fit.json", "cell.json"
"""What a piece is of, and how long it took to make, beside what it holds."""


@dataclass(frozen=True)
class Bench:
    """Where a study's pieces are made and kept.

    tokens: the token set of each zoo, by its name, in a folder that is named by its content; folder: where pieces are
    kept; device: what methods run on.
    """

    study: Study
    tokens: dict[str, Path]
    folder: Path
    data_root: Path | None = None
    device: str = "auto"

    def __getstate__(self) -> dict[str, Any]:
        """What workers are sent: not what was opened here."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _token_sets(self) -> dict[str, TokenSet]:
        for path in self.tokens.values():
            check(path, "the token set", "run the same command again, which makes it again")
        return {zoo: TokenSet.read(path).bounded() for zoo, path in self.tokens.items()}

    @cached_property
    def _populations(self) -> dict[str, Population]:
        return {zoo: replace(tokens.populations[0], name=zoo) for zoo, tokens in self._token_sets.items()}

    @property
    def token_size(self) -> int:
        return next(iter(self._token_sets.values())).token_size

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        return {task.name: task for task in self.study.all_tasks()}

    @cached_property
    def _training_sets(self) -> dict[str, TrainingSet]:
        return {}

    def task(self, name: str) -> Task:
        return self._tasks[name]

    def population(self, zoo: str) -> Population:
        """All the models of a zoo, under its name."""
        return self._populations[zoo]

    def training_set(self, composition: str) -> TrainingSet:
        """What a composition trains on; raises `InputError` where its zoos have too few models."""
        if composition not in self._training_sets:
            chosen = self.study.all_compositions()[composition]
            populations = {zoo: self.population(zoo) for zoo in chosen.zoos}
            self._training_sets[composition] = training_set(chosen, composition, populations, self.token_size)
        return self._training_sets[composition]

    def config(self, fit: Fit) -> object:
        """The configuration that a method is fitted in."""
        return self.study.config(fit.method, self.study.all_compositions().get(fit.composition))

    def fit_path(self, fit: Fit) -> Path:
        """Where a fitted method is kept."""
        trained_on = "" if fit.composition == NO_COMPOSITION else self._trained_on(fit.composition)
        identity = get_method(fit.method).identity(self.config(fit))
        return self.folder / "fits" / _key(fit.method, identity, fit.seed, trained_on)

    def cell_path(self, cell: Cell) -> Path:
        """Where what was observed of a cell is kept."""
        read = "" if cell.composition == NO_COMPOSITION else self._trained_on(cell.composition)
        made_of = (self.fit_path(cell.fit).name, read, repr(self.task(cell.task)), cell.target)
        return self.folder / "cells" / _key(*made_of, self.tokens[cell.target].name)

    def _trained_on(self, composition: str) -> str:
        """Changes where a model of the composition's zoos does."""
        zoos = self.study.all_compositions()[composition].zoos
        return _key(self.training_set(composition).key, *(self.tokens[zoo].name for zoo in zoos))

    def fit(self, fit: Fit) -> FittedModel:
        """The method as it is kept, or fitted now; an interrupted one goes on from where it was."""
        method, path = get_method(fit.method), self.fit_path(fit)
        if fit.composition == NO_COMPOSITION:
            return method.fit(TokenSet(self.token_size, ()), fit.seed, self.config(fit))
        if (learned := kept(path, method.load)) is not None:
            return learned
        started = time.monotonic()
        scratch = path.with_name(f"{path.name}.training")
        execution = Execution(device=self.device, scratch=scratch)
        learned = method.fit(self.training_set(fit.composition).tokens, fit.seed, self.config(fit), execution)
        shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method is there
        save(learned, path, {FIT: asdict(fit) | {"seconds": round(time.monotonic() - started, 1)}})
        return learned

    def measure(self, cell: Cell) -> None:
        """Observe a cell, unless it was observed already, and keep what came of it: nothing, where the task cannot be
        done in such a setting."""
        path = self.cell_path(cell)
        if is_kept(path):
            return
        started = time.monotonic()
        learned, task = self.fit(cell.fit), self.task(cell.task)
        training = () if cell.composition == NO_COMPOSITION else self.training_set(cell.composition).tokens.populations
        setting = Setting(self.population(cell.target), training, cell.fit.seed, self.data_root, self.device)
        try:
            outcome = task.observe(learned, setting)
        except InapplicableError:
            outcome = Outcome(pd.DataFrame())
        with sealed(path) as aside:
            outcome.observations.to_parquet(aside / "observations.parquet", index=False)
            if outcome.weights is not None:
                save_file({"weights": outcome.weights.contiguous()}, aside / "weights.safetensors")
            write_json(aside / CELL, asdict(cell) | {"seconds": round(time.monotonic() - started, 1)})

    def observations(self, cell: Cell) -> pd.DataFrame:
        """What was observed of a cell; empty where it was not, or could not be."""
        path = self.cell_path(cell)
        if not path.exists():
            return pd.DataFrame()
        check(path, "what was observed", "run the same command again, which observes it again")
        return pd.read_parquet(path / "observations.parquet")

    def seconds(self, plan: Plan) -> float:
        """How long all pieces of a plan that are there took, each for itself."""
        paths = {self.fit_path(fit) / FIT for fit in plan.fits}
        paths |= {self.cell_path(cell) / CELL for cell in plan.cells}
        return sum(float(read_json(path, "what was kept of a piece")["seconds"]) for path in paths if path.exists())


def token_sets(sources: Mapping[str, Source], folder: Path, stage: Callable[[str], object]) -> dict[str, Path]:
    """The token set of each zoo, made now where it is not kept in the folder yet; all have the same size of token."""
    zoos = {name: source.zoo() for name, source in sources.items()}
    size = select_checkpoints(list(zoos.values())).token_size
    paths = {}
    for name, zoo in zoos.items():
        selected = select_checkpoints([zoo], size)
        paths[name] = folder / selected.digest
        if not is_kept(paths[name]):
            stage(f"tokenizing {name}")
            write_token_set(paths[name], selected)
    return paths


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:16]
