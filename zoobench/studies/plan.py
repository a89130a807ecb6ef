"""The grid of a study: which methods are trained on which compositions, and which cells are measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from zoobench.methods.registry import Method, get_method
from zoobench.studies.names import NO_COMPOSITION
from zoobench.studies.study import Study
from zoobench.tasks.base import Task


@dataclass(frozen=True)
class Fit:
    """A method trained on a composition under a seed."""

    composition: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method} on {self.composition}, seed {self.seed}"


@dataclass(frozen=True)
class Cell:
    """A task measured of a method, on a target.

    fit: the method; composition: the training models that the task itself reads, as a probe across zoos does; else the
    fit's.
    """

    fit: Fit
    composition: str
    task: str
    target: str

    @property
    def name(self) -> str:
        where = "" if self.composition == NO_COMPOSITION else f" on {self.composition}"
        return f"{self.task} on {self.target}: {self.fit.method}{where}, seed {self.fit.seed}"


@dataclass(frozen=True)
class Plan:
    """What is trained, and what is measured, in the order in which it is done."""

    study: Study

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """Of the methods that learn: one of each on each composition, under each seed."""
        return tuple(
            Fit(composition, method.name, seed)
            for composition in self.study.all_compositions()
            for method in self.study.all_methods()
            if method.learns
            for seed in self._seeds(method.random)
        )

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Of each fit; then of the methods that learn nothing, which serve all compositions unless the task itself
        reads their training models."""
        return tuple(self._cells())

    def _cells(self) -> Iterator[Cell]:
        for fit in self.fits:
            for task in self._tasks(get_method(fit.method)):
                yield from (Cell(fit, fit.composition, task.name, target) for target in self.study.all_targets())
        for method in self.study.all_methods():
            if method.learns:
                continue
            for seed in self._seeds(method.random):
                fit = Fit(NO_COMPOSITION, method.name, seed)
                for task in self._tasks(method):
                    compositions = tuple(self.study.all_compositions()) if task.reads_training else (NO_COMPOSITION,)
                    for composition in compositions:
                        yield from (Cell(fit, composition, task.name, target) for target in self.study.all_targets())

    def _tasks(self, method: Method) -> list[Task]:
        """Those that the method can do."""
        return [task for task in self.study.all_tasks() if task.asks(method.kind)]

    def _seeds(self, random: bool) -> range:
        seeds = self.study.all_seeds()
        return seeds if random else seeds[:1]
