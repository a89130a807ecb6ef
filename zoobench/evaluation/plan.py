"""What is to be measured: things, not names. Which methods are fitted to what, and which cells are measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from zoo_generation.errors import InputError
from zoo_generation.training.sink import Status
from zoobench.methods.method import Method
from zoobench.populations import KEPT
from zoobench.tasks.base import Task
from zoobench.zoo.source import Kind, Source

if TYPE_CHECKING:
    import pandas as pd

NO_COMPOSITION = "–"
"""Stands in tables in the place of a training set, of methods that learn nothing from one."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a population comes from: it need be neither opened nor built yet.

    name: what it is called in tables; zoos: those that its models are in, several if they share it; kind: which of
    their populations it is; statuses: of its models, others are left out.
    """

    name: str
    zoos: tuple[Source, ...]
    kind: Kind
    statuses: tuple[Status, ...] = KEPT

    @classmethod
    def all_of(cls, source: Source) -> tuple[Origin, ...]:
        """The populations of a zoo: one is called as the zoo, several by what tells them apart, as `mine.digits`."""
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
    """What a method learns from: the training models, and the validation models, of populations.

    models: how many training models in all, as many of each population; tokens: how many tokens their checkpoints have
    in all, as many of each population; epochs: which checkpoints. None if that is not limited. configs: how methods are
    configured that are configured otherwise here than elsewhere.
    """

    name: str
    origins: tuple[Origin, ...]
    models: int | None = None
    tokens: int | None = None
    epochs: tuple[int, ...] | None = None
    configs: Mapping[Method, object] = field(default_factory=dict)

    @property
    def share(self) -> int | None:
        """Training models of each population. None if their number is not limited."""
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
        """What it is called, such as `sane on digits, seed 0`."""
        where = "" if self.on is None else f" on {self.on.name}"
        return f"{self.method.name}{where}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Cell:
    """A task measured of a fitted method, on a target.

    sources: the training models that the task itself reads, or the method draws on: None if it needs none.
    """

    fit: Fit
    task: Task
    target: Origin
    sources: TrainingSet | None

    @property
    def composition(self) -> str:
        """The name of its training set in tables."""
        return NO_COMPOSITION if self.sources is None else self.sources.name

    @property
    def name(self) -> str:
        """What it is called, such as `generation on glyphs: sane on digits, seed 0`."""
        where = "" if self.sources is None else f" on {self.sources.name}"
        return f"{self.task.name} on {self.target.name}: {self.fit.method.name}{where}, seed {self.fit.seed}"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is measured, in the order in which it is done.

    origins: all populations that are to be there, also those that no cell is of; they share one size of token.
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

        Methods that learn nothing are measured once, beside the training sets, unless the task itself reads these.
        Those that are not random are measured under the first seed alone. `origins`: further populations. Raises
        `InputError` if two methods, or two populations, have one name.
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

    def cost(self) -> pd.DataFrame:
        """About what it costs, whatever is kept already: see `cost.cost_of`."""
        from zoobench.evaluation.cost import cost_of

        return cost_of(self)


def applies(task: Task, method: Method) -> bool:
    """Whether a method does what a task asks for, and is content with what it may see there."""
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

    for training in trainings:
        for method, config in methods.items():
            if method.learns:
                for seed in under(method):
                    fit = Fit(method, training.configs.get(method, config), training, seed)
                    for task in (task for task in tasks if applies(task, method)):
                        yield from (Cell(fit, task, target, training) for target in targets)
    for method, config in methods.items():
        if not method.learns:
            for seed in under(method):
                fit = Fit(method, config, None, seed)
                for task in (task for task in tasks if applies(task, method)):
                    for sources in trainings if task.uses_sources else (None,):
                        yield from (Cell(fit, task, target, sources) for target in targets)
