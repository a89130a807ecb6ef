"""Fit methods to zoos and measure them on each of the zoos' populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo_generation.networks.architectures import get_architecture
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.sink import Status
from zoobench.evaluation.cells import prepare
from zoobench.evaluation.plan import Fit, Origin, Plan, TrainingSet, applies
from zoobench.evaluation.results import Results
from zoobench.evaluation.runner import run
from zoobench.methods.fitting import Fitted
from zoobench.methods.method import Method
from zoobench.methods.registry import baselines as all_baselines
from zoobench.populations import KEPT, select_checkpoints
from zoobench.tasks.base import Task
from zoobench.tasks.registry import TASKS
from zoobench.zoo import Zoo
from zoobench.zoo.source import Kind, Source
from zoobench.zoo.workspace import Workspace

FOR_UNSEEN = "zero_shot"
ACROSS = "property_transfer"


def evaluate(
    methods: Sequence[Method] | Mapping[Method, object],
    on: Sequence[Zoo],
    *,
    tasks: Sequence[Task] | None = None,
    baselines: bool = True,
    seeds: Sequence[int] = range(3),
    statuses: Sequence[Status] = KEPT,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> Results:
    """Fit methods to the training models of all the zoos, and measure each on each of their populations.

    methods: each with its configuration, or in its first one; on: zoos; their models of other `statuses` are left out;
    tasks: None for all; each method is measured by those it can do; baselines: whether to measure these too. What
    exists under the workspace's `runs/` is not made again. Raises `InputError` for an architecture that is not
    registered, and for models with the same id that differ between zoos.
    """
    return run(plan_of(methods, on, tasks, baselines, seeds, statuses), workspace or Workspace(), progress)


def plan_of(
    methods: Sequence[Method] | Mapping[Method, object],
    on: Sequence[Zoo],
    tasks: Sequence[Task] | None,
    baselines: bool,
    seeds: Sequence[int],
    statuses: Sequence[Status],
) -> Plan:
    """The plan of `evaluate`."""
    given = dict(methods) if isinstance(methods, Mapping) else {method: method.config(None) for method in methods}
    beside = [each for each in all_baselines() if baselines and each not in given]
    training = training_set_of(on, statuses)
    for architecture in sorted({origin.kind.architecture for origin in training.origins}):
        get_architecture(architecture)  # fails before hours of training if a user's architecture was not named
    measured = _tasks_for(given, training) if tasks is None else tasks
    return Plan.of(
        given | {each: each.config(None) for each in beside}, [training], training.origins, measured, list(seeds)
    )


def _tasks_for(methods: Mapping[Method, object], training: TrainingSet) -> list[Task]:
    """All tasks that one of the methods can do. A probe across zoos needs several: with one population it would be the
    probe within it once more. A task for unseen datasets needs a study: here every target is trained on."""
    left_out = (FOR_UNSEEN,) if len(training.origins) > 1 else (FOR_UNSEEN, ACROSS)
    every = [TASKS.get(name) for name in TASKS if name not in left_out]
    return [task for task in every if any(applies(task, each) for each in methods)]


def training_set_of(zoos: Sequence[Zoo], statuses: Sequence[Status] = KEPT) -> TrainingSet:
    """All training models of zoos. Models of one dataset and architecture are one population, whichever zoo they are
    in."""
    sources = tuple(Source.there(zoo.name, zoo, statuses) for zoo in zoos)
    selected = select_checkpoints(zoos, statuses=statuses)
    origins = tuple(Origin(each.name, sources, Kind.of(each.table), tuple(statuses)) for each in selected.sources)
    return TrainingSet("+".join(zoo.name for zoo in zoos), origins)


def fitted(
    method: Method,
    config: object,
    on: Sequence[Zoo],
    seed: int = 0,
    *,
    statuses: Sequence[Status] = KEPT,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> Fitted:
    """The method as `evaluate` fits it to these zoos: the kept one, or one fitted now, in this process."""
    training = training_set_of(on, statuses)
    cells = prepare(training.origins, workspace or Workspace(), progress)
    asked = Fit(method, config, training if method.learns else None, seed)
    model = cells.fit(asked, progress)
    if not method.learns:
        return Fitted(method, config, model, seed)
    return Fitted.kept_at(cells.fit_path(asked), method, config, model, seed)
