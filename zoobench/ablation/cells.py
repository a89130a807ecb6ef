"""The work of a study, one piece at a time, kept by content: what is there is not made again, by whichever study."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from safetensors.torch import save_file

from zoobench import __version__
from zoobench.ablation.plan import NO_COMPOSITION, Cell, Fit
from zoobench.ablation.study import Study
from zoobench.ablation.training_sets import TrainingSet, training_set
from zoobench.files import directory_written_aside, read_json, write_json
from zoobench.methods.base import Execution, Learned
from zoobench.methods.registry import get_method
from zoobench.tasks.base import Setting, Task
from zoobench.tokens import Population, TokenSet


@dataclass(frozen=True)
class Bench:
    """Where a study's pieces are made and kept.

    tokens: the token set of all its zoos; populations: the name of each zoo's in it; folder: where pieces are kept;
    device: what methods are trained on.
    """

    study: Study
    tokens: Path
    populations: dict[str, str]
    folder: Path
    data_root: Path | None = None
    device: str = "auto"

    @cached_property
    def _opened(self) -> tuple[int, dict[str, Population]]:
        tokens = TokenSet.read(self.tokens)
        by_name = {population.name: population for population in tokens.populations}
        return tokens.token_size, {zoo: by_name[name] for zoo, name in self.populations.items()}

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        return {task.name: task for task in self.study.all_tasks()}

    @cached_property
    def _training_sets(self) -> dict[str, TrainingSet]:
        return {}

    def task(self, name: str) -> Task:
        return self._tasks[name]

    def population(self, zoo: str) -> Population:
        """All the models of a zoo."""
        return self._opened[1][zoo]

    def training_set(self, composition: str) -> TrainingSet:
        """What a composition trains on; raises `InputError` where its zoos have too few models."""
        if composition not in self._training_sets:
            size, populations = self._opened
            chosen = self.study.all_compositions()[composition]
            self._training_sets[composition] = training_set(chosen, composition, populations, size)
        return self._training_sets[composition]

    def config(self, fit: Fit) -> object:
        """The configuration that a method is fitted in."""
        composition = self.study.all_compositions().get(fit.composition)
        return self.study.config(fit.method, composition if get_method(fit.method).learns else None)

    def fit_path(self, fit: Fit) -> Path:
        """Where a fitted method is kept."""
        trained_on = "" if fit.composition == NO_COMPOSITION else self.training_set(fit.composition).key
        return self.folder / "fits" / _key(fit.method, repr(self.config(fit)), fit.seed, trained_on)

    def cell_path(self, cell: Cell) -> Path:
        """Where what was observed of a cell is kept."""
        read = "" if cell.composition == NO_COMPOSITION else self.training_set(cell.composition).key
        target = self.population(cell.target)
        models = sorted(zip(target.table["model_id"], target.table["epoch"], strict=True))
        made_of = (self.fit_path(cell.fit).name, read, repr(self.task(cell.task)), target.name, models)
        return self.folder / "cells" / _key(*made_of)

    def fit(self, fit: Fit) -> Learned:
        """The method as it is kept, or fitted now; an interrupted one goes on from where it was."""
        method, path = get_method(fit.method), self.fit_path(fit)
        if path.exists():
            return method.load(path)
        if fit.composition == NO_COMPOSITION:
            return method.fit(TokenSet(self._opened[0], ()), fit.seed, self.config(fit))
        started = time.monotonic()
        execution = Execution(device=self.device, scratch=path.with_name(f"{path.name}.training"))
        learned = method.fit(self.training_set(fit.composition).tokens, fit.seed, self.config(fit), execution)
        learned.save(path)
        write_json(path.with_suffix(".json"), asdict(fit) | {"seconds": round(time.monotonic() - started, 1)})
        return learned

    def measure(self, cell: Cell) -> None:
        """Observe a cell, unless it was observed already, and keep what came of it.

        A task that asks for more than the method implements is kept as observed, with nothing observed.
        """
        path = self.cell_path(cell)
        if path.exists():
            return
        started = time.monotonic()
        learned, task = self.fit(cell.fit), self.task(cell.task)
        observations, weights = pd.DataFrame(), None
        if task.asks(learned):
            training = (
                () if cell.composition == NO_COMPOSITION else self.training_set(cell.composition).tokens.populations
            )
            setting = Setting(self.population(cell.target), training, cell.fit.seed, self.data_root, self.device)
            outcome = task.observe(learned, setting)
            observations, weights = outcome.observations, outcome.weights
        with directory_written_aside(path) as aside:
            observations.to_parquet(aside / "observations.parquet", index=False)
            if weights is not None:
                save_file({"weights": weights.contiguous()}, aside / "weights.safetensors")
            write_json(aside / "cell.json", asdict(cell) | {"seconds": round(time.monotonic() - started, 1)})

    def observations(self, cell: Cell) -> pd.DataFrame | None:
        """What was observed of a cell, or none where it was not; empty where the method cannot do the task."""
        path = self.cell_path(cell) / "observations.parquet"
        return pd.read_parquet(path) if path.exists() else None

    def seconds(self, cell: Cell) -> float:
        """How long a cell took, its fit apart."""
        return float(read_json(self.cell_path(cell) / "cell.json", "what was kept of a cell")["seconds"])


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:16]
