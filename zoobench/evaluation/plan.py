"""What to measure, as objects and not as names: which methods are fitted to what, and which cells are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_generation.errors import InputError
from zoo_generation.training.sink import Status
from zoobench.methods.method import Method
from zoobench.populations import KEPT
from zoobench.tasks.base import Partnered, Task
from zoobench.zoo.source import Kind, Source

if TYPE_CHECKING:
    import pandas as pd

NO_COMPOSITION = "–"
"""Stands in tables in place of a training set, for methods that learn nothing from one."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a population comes from: it may be unopened, or not built yet.

    name: in tables; zoos: that its models are in, several if they share it; kind: which of their populations it is;
    statuses: of the models to take; others are left out.
    """

    name: str
    zoos: tuple[Source, ...]
    kind: Kind
    statuses: tuple[Status, ...] = KEPT

    @classmethod
    def all_of(cls, source: Source) -> tuple[Origin, ...]:
        """The populations of a zoo. A single one has the zoo's name; several add what tells them apart, as
        `mine.digits`."""
        if len(source.kinds) == 1:
            return (cls(source.name, (source,), source.kinds[0]),)
        words = [kind.words for kind in source.kinds]
        apart = [key for key in words[0] if len({each[key] for each in words}) > 1]
        names = [".".join((source.name, "-".join(each[key] for key in apart))) for each in words]
        if len(set(names)) < len(names):
            raise InputError(
                f"the zoo '{source.name}' has two populations of the same dataset, architecture, width and image size, "
                "which cannot be told apart; import each as a zoo of its own"
            )
        return tuple(cls(name, (source,), kind) for name, kind in zip(names, source.kinds, strict=True))


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a method learns from: the training and validation models of populations.

    models: number of training models in all, equally many per population; tokens: number of tokens of their checkpoints
    in all, equally many per population; checkpoint_epochs: which checkpoints. None means no limit. configs: methods
    whose configuration here differs from elsewhere.
    """

    name: str
    origins: tuple[Origin, ...]
    models: int | None = None
    tokens: int | None = None
    checkpoint_epochs: tuple[int, ...] | None = None
    configs: Mapping[Method, object] = field(default_factory=dict)

    @property
    def share(self) -> int | None:
        """Training models per population. None if their number is not limited."""
        return None if self.models is None else max(1, self.models // len(self.origins))


@dataclass(frozen=True, eq=False)
class Fit:
    """A method, in a configuration, fitted to a training set under a seed. `on` is None if it learns nothing."""

    method: Method
    config: object
    on: TrainingSet | None
    seed: int

    @property
    def name(self) -> str:
        """Its name, such as `sane on digits, seed 0`."""
        where = "" if self.on is None else f" on {self.on.name}"
        return f"{self.method.name}{where}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Cell:
    """A task that measures a fitted method on a target.

    sources: the training models that the task itself reads, or that the method draws on. None if it needs none. others:
    the other targets of the plan, if the task reads models of these too.
    """

    fit: Fit
    task: Task
    target: Origin
    sources: TrainingSet | None
    others: tuple[Origin, ...] = ()

    @property
    def composition(self) -> str:
        """The name of its training set in tables."""
        return NO_COMPOSITION if self.sources is None else self.sources.name

    @property
    def name(self) -> str:
        """Its name, such as `generation on glyphs: sane on digits, seed 0`."""
        where = "" if self.sources is None else f" on {self.sources.name}"
        return f"{self.task.name} on {self.target.name}: {self.fit.method.name}{where}, seed {self.fit.seed}"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is measured, in this order.

    origins: all populations to prepare, also those without a cell; they share one token size.
    """

    cells: tuple[Cell, ...]
    origins: tuple[Origin, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.origins]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two populations are called '{min(twice)}'; give one of the zoos another name")

    @classmethod
    def of(
        cls,
        methods: Mapping[Method, object],
        trainings: Sequence[TrainingSet],
        targets: Sequence[Origin],
        tasks: Sequence[Task],
        seeds: Sequence[int],
        origins: Sequence[Origin] = (),
    ) -> Plan:
        """Each method, in its configuration, fitted to each training set under each seed, and measured by each task
        that it can do on each target.

        Methods that learn nothing are measured once, not per training set, unless the task itself reads training sets.
        Methods that are not random are measured under the first seed only. `origins`: further populations. Raises
        `InputError` if two methods, or two populations, have the same name.
        """
        names = [method.name for method in methods]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two methods are called '{min(twice)}'; name each of them once")
        cells = tuple(_cells(methods, trainings, targets, tasks, seeds))
        of_trainings = (origin for training in trainings for origin in training.origins)
        return cls(cells, tuple(dict.fromkeys((*origins, *of_trainings, *targets))))

    def __repr__(self) -> str:
        names = ", ".join(task.name for task in self.tasks)
        return f"<Plan of {len(self.fits)} fits and {len(self.cells)} cells: {names}>"

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """Of the methods that learn."""
        return tuple(dict.fromkeys(cell.fit for cell in self.cells if cell.fit.on is not None))

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All that are measured."""
        return tuple({cell.task.name: cell.task for cell in self.cells}.values())

    @property
    def sources(self) -> tuple[Source, ...]:
        """The zoos of all populations."""
        return tuple(dict.fromkeys(source for origin in self.origins for source in origin.zoos))

    def cost(self, rates: Path | None = None) -> pd.DataFrame:
        """Its estimated cost on one core, or on the device whose speeds `benchmarks/speed/gpu.py` wrote into the file
        `rates`, if nothing is kept already: see `cost.cost_of`. `attrs["words"]` says it in a sentence."""
        from zoobench.evaluation.cost import Rates, cost_of, words_of

        found = Rates.here() if rates is None else Rates.read(rates)
        cost = cost_of(self, found)
        cost.attrs["words"] = words_of(cost, found, rates)
        return cost


def applies(task: Task, method: Method) -> bool:
    """Whether a method can do what a task asks for, with the access that the task allows."""
    return isinstance(method.kind, task.asks) and method.access <= task.access


def _cells(
    methods: Mapping[Method, object],
    trainings: Sequence[TrainingSet],
    targets: Sequence[Origin],
    tasks: Sequence[Task],
    seeds: Sequence[int],
) -> Iterator[Cell]:
    def under(method: Method) -> Sequence[int]:
        return seeds if method.random else seeds[:1]

    def beside(target: Origin, task: Task) -> tuple[Origin, ...]:
        if not isinstance(task, Partnered):
            return ()
        kind = target.kind  # others have nothing to teach, and would only make this another measurement
        same = [each for each in targets if each.kind.dataset == kind.dataset and each is not target]
        return tuple(each for each in same if each.kind.train_images == kind.train_images)

    for training in trainings:
        for method, config in methods.items():
            if method.learns:
                for seed in under(method):
                    fit = Fit(method, training.configs.get(method, config), training, seed)
                    for task in (task for task in tasks if applies(task, method)):
                        yield from (Cell(fit, task, each, training, beside(each, task)) for each in targets)
    for method, config in methods.items():
        if not method.learns:
            for seed in under(method):
                fit = Fit(method, config, None, seed)
                for task in (task for task in tasks if applies(task, method)):
                    for sources in trainings if task.uses_sources else (None,):
                        yield from (Cell(fit, task, each, sources, beside(each, task)) for each in targets)
