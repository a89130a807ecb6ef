"""A study's YAML file: which zoos train which methods, and on which zoos they are measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from zoo_generation.errors import InputError, unknown
from zoo_generation.settings import Fields, Name, Names, as_tuple, read_fields, sentence
from zoo_generation.training.fields import Seed
from zoo_generation.training.spec import ZooSpec, make_spec, read_spec
from zoobench.evaluation.plan import Origin, Plan, TrainingSet
from zoobench.evaluation.trainings import check_enough
from zoobench.methods.method import Method
from zoobench.methods.registry import baselines, get_method
from zoobench.populations import KEPT
from zoobench.studies.budget import Budget, BudgetName, has_budget
from zoobench.tasks.base import Task
from zoobench.tasks.registry import TASKS, get_task
from zoobench.zoo import Zoo, zoo_path
from zoobench.zoo.source import Source, check_apart
from zoobench.zoo.workspace import Workspace

MOST_CELLS = 1_000_000
ALL = "all"  # the name of the composition of all zoos


def _all_tasks() -> dict[str, dict[str, Any]]:
    return {name: {} for name in TASKS}


class Existing(Fields):
    """An existing zoo, given as a directory or URL."""

    path: str


class Composition(Fields):
    """What a method is trained on.

    zoos: those whose training models train; models: number of models in all, equally many per zoo; tokens: number of
    tokens of their checkpoints in all, equally many per zoo; checkpoint_epochs: which checkpoints; set: hyperparameters
    of the methods that learn, baselines excepted, such as `steps`; budget: how long those that have one
    train. Limits that are not given do not apply.
    """

    zoos: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    models: PositiveInt | None = None
    tokens: PositiveInt | None = None
    checkpoint_epochs: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    budget: Budget | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "epochs" in given:
            raise ValueError(
                "'epochs' of a composition, which checkpoints train, is called 'checkpoint_epochs' now; how long is "
                "'budget: {epochs: 20}'"
            )
        return given

    @model_validator(mode="after")
    def _one_limit(self) -> Composition:
        if self.models is not None and self.tokens is not None:
            raise ValueError("a composition is limited by models or by tokens; give one of the two")
        if self.budget is not None and (twice := self.set.keys() & Budget.model_fields.keys()):
            raise ValueError(f"'{min(twice)}' stands in 'set', and there is a 'budget'; give one of the two")
        return self


class MethodChoice(Fields):
    """A method, one of its presets, and the hyperparameters to change."""

    preset: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)


class Comparison(Fields):
    """A question, answered by the difference of one composition to others."""

    question: Annotated[str, Field(min_length=1, max_length=200)]
    composition: str
    against: Names


class Study(Fields):
    """A study: compositions × methods × targets × tasks × seeds.

    defaults: spec fields for zoos that do not give them. combine: compositions made of the zoos: each `alone`, all
    `pairs`, `all` of them. budgets: every composition is trained under each, as `all, equal epochs`, and compared under
    the same. targets: zoos that methods are measured on, all if none are named; each population of a zoo
    is a target. Methods that learn nothing from a composition are measured once. tasks: by name, each with changes to
    its default settings.
    """

    name: Name
    description: str = ""
    defaults: dict[str, Any] = Field(default_factory=dict)
    zoos: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    combine: Annotated[tuple[Literal["alone", "pairs", "all"], ...], BeforeValidator(as_tuple)] = ()
    compositions: dict[Name, Composition] = Field(default_factory=dict)
    budgets: dict[BudgetName, Budget] = Field(default_factory=dict)
    targets: Names = ()
    methods: dict[str, MethodChoice] = Field(default_factory=lambda: {"sane": MethodChoice()})
    baselines: bool = True
    tasks: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(default_factory=_all_tasks)
    seeds: Annotated[int, Field(gt=0, le=1000)] = 3
    seed: Seed = 0
    comparisons: tuple[Comparison, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> Study:
        pairs = math.comb(len(self.zoos), 2) if "pairs" in self.combine else 0
        compositions = (len(self.compositions) + pairs + len(self.zoos) + 1) * (len(self.budgets) or 1)
        cells = compositions * (len(self.methods) or 1) * len(self.all_targets()) * len(self.tasks) * self.seeds
        if cells > MOST_CELLS:
            raise ValueError(
                f"about {cells:.3g} measurements were asked for, but a study makes at most {MOST_CELLS:,}; take fewer "
                "zoos, compositions, targets or seeds"
            )
        for name in self.zoos:
            self.zoo(name)
        for name, composition in self.all_compositions().items():
            _known(f"zoo in the composition {name}:", composition.zoos, self.zoos)
        _known("target", self.targets, self.zoos)
        for comparison in self.comparisons:
            _known("composition", (comparison.composition, *comparison.against), self._compositions())
        for method in self.methods:
            for composition in self.all_compositions().values():
                self.config(method, composition)
        budgets = any(each.budget is not None for each in self.all_compositions().values())
        if budgets and not any(has_budget(self.config(method)) for method in self.methods):
            raise ValueError("no method of the study has a budget; leave out 'budgets' and 'budget', or name sane")
        self.all_tasks()
        if not self.all_compositions():
            raise ValueError("there is no composition; give 'combine: [alone, all]', or 'compositions'")
        return self

    def zoo(self, name: str) -> ZooSpec | Existing:
        """A zoo's spec, or its path. Raises `InputError` for anything else."""
        given = self.zoos[name]
        try:
            if "path" in given:
                return Existing(**given)
            base = read_spec(str(given["spec"])) if "spec" in given else {}
            spec = make_spec(self.defaults | base | {key: value for key, value in given.items() if key != "spec"})
        except (InputError, ValidationError) as error:
            reason = sentence(error, model=Existing) if isinstance(error, ValidationError) else str(error)
            raise InputError(f"zoo '{name}': {reason}") from None
        return spec.model_copy(update={"name": name})

    def all_compositions(self) -> dict[str, Composition]:
        """Compositions from `combine`, and those written out, by name; if there are budgets, one for each of them."""
        compositions = self._compositions()
        if not self.budgets:
            return compositions
        for name, composition in compositions.items():
            if composition.budget is not None:
                raise InputError(
                    f"the composition '{name}' has a 'budget', and the study has 'budgets'; leave one of them out"
                )
        return {
            _under(name, budget): composition.model_copy(update={"budget": given})
            for budget, given in self.budgets.items()
            for name, composition in compositions.items()
        }

    def budget_of(self, composition: str) -> str:
        """Under which of `budgets` one of `all_compositions` is trained; empty if the study has none."""
        return composition.rpartition(", ")[2] if self.budgets else ""

    def all_comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons; if there are budgets, one for each of them, between compositions under the same."""
        if not self.budgets:
            return self.comparisons
        return tuple(
            Comparison(
                question=each.question,
                composition=_under(each.composition, budget),
                against=tuple(_under(name, budget) for name in each.against),
            )
            for each in self.comparisons
            for budget in self.budgets
        )

    def _compositions(self) -> dict[str, Composition]:
        combined: dict[str, Composition] = {}
        if "alone" in self.combine:
            combined |= {zoo: Composition(zoos=(zoo,)) for zoo in self.zoos}
        if "pairs" in self.combine:
            combined |= {"+".join(pair): Composition(zoos=pair) for pair in itertools.combinations(self.zoos, 2)}
        if "all" in self.combine:
            combined[ALL] = Composition(zoos=tuple(self.zoos))
        for name in combined.keys() & self.compositions.keys():
            raise InputError(f"the composition '{name}' is made by 'combine' already; give it another name")
        return combined | self.compositions

    def all_targets(self) -> tuple[str, ...]:
        """The zoos that methods are measured on."""
        return self.targets or tuple(self.zoos)

    def config(self, method: str, composition: Composition | None = None) -> object:
        """The configuration of a method for a composition, whose hyperparameters do not apply to baselines."""
        chosen, known = self.methods.get(method, MethodChoice()), get_method(method)
        config = known.config(chosen.preset, chosen.set)
        if composition is None or known.baseline or not known.learns:
            return config
        budget = composition.budget.settings if composition.budget is not None and has_budget(config) else {}
        return known.config(chosen.preset, chosen.set | composition.set | budget)

    def plan(self, workspace: Workspace) -> Plan:
        """The plan of the study; zoos that are not built yet will be in the workspace's folder of zoos.

        Raises `InputError` if two zoos have a model in common, because it could be in the training split of one and the
        test split of the other; and if a composition takes more models than exist.
        """
        sources = {name: self._source(name, workspace.zoos) for name in self.zoos}
        check_apart(sources.values())
        origins = {name: Origin.all_of(source) for name, source in sources.items()}
        trainings = [self._training_set(name, each, origins) for name, each in self.all_compositions().items()]
        for training in trainings:
            for origin in training.origins:
                check_enough(training.name, training.share or 0, origin.name, origin.kind.training_models)
        return Plan.of(
            {method: self.config(method.name) for method in self.all_methods()},
            trainings,
            [origin for name in self.all_targets() for origin in origins[name]],
            self.all_tasks(),
            self.all_seeds(),
            [origin for of_zoo in origins.values() for origin in of_zoo],
        )

    def _source(self, name: str, zoos: Path) -> Source:
        given = self.zoo(name)
        if isinstance(given, ZooSpec):
            return Source.planned(name, given, zoos)
        return Source.there(name, Zoo(zoo_path(given.path)), KEPT)

    def _training_set(
        self, name: str, composition: Composition, origins: Mapping[str, Sequence[Origin]]
    ) -> TrainingSet:
        return TrainingSet(
            name,
            tuple(origin for zoo in composition.zoos for origin in origins[zoo]),
            composition.models,
            composition.tokens,
            composition.checkpoint_epochs,
            {method: self.config(method.name, composition) for method in self.all_methods()},
        )

    def all_methods(self) -> tuple[Method, ...]:
        """The named methods, then the baselines that are not among them."""
        named = tuple(get_method(name) for name in self.methods)
        return named + tuple(each for each in baselines() if self.baselines and each not in named)

    def all_tasks(self) -> tuple[Task, ...]:
        """The tasks with their settings."""
        return tuple(get_task(name, settings) for name, settings in self.tasks.items())

    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)


def read_study(path: Path, changes: Mapping[str, Any] | None = None) -> Study:
    """A study from a YAML file, with `changes` in place of its own fields.

    Raises `InputError`, in one sentence with the field, the given value and what is allowed.
    """
    values = read_fields(path, "study", "'zoos:' and 'combine:'; see benchmarks/compositions/smoke.yaml")
    try:
        return Study(**values | dict(changes or {}))
    except ValidationError as error:
        raise InputError(f"the study {path}: {sentence(error, model=Study)}") from None


def _under(composition: str, budget: str) -> str:
    """The name of a composition under a budget."""
    return f"{composition}, {budget}"


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown(what, name, known)
