"""Measure methods on zoos, and run studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_generation.errors import InputError
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import as_given
from zoobench.api.methods import get_method
from zoobench.api.zoos import USED, build_zoo, listed, zoos_of

if TYPE_CHECKING:
    from zoobench.evaluation import Plan, Results
    from zoobench.methods import Method
    from zoobench.studies import Study, StudyResults
    from zoobench.tasks.base import Task
    from zoobench.zoo import Zoo
    from zoobench.zoo.workspace import Workspace

DEMO_IMAGES: dict[str, Any] = {"datasets": ["digits", "glyphs"], "train_images": 2000}
DEMO_ZOOS: list[dict[str, Any]] = [
    {"name": "demo-cnn_s", "architectures": ["cnn_s"], "learning_rate": [0.001, 0.003], "seeds": 8, "epochs": 6},
    {
        "name": "demo-resnet18",
        "architectures": ["resnet18"],
        "width": [0.0625],
        "image_size": 16,
        "activation": ["relu"],
        "learning_rate": [0.003, 0.01],
        "batch_size": [64],
        "seeds": 5,
        "epochs": 3,
    },
]
DEMO_STEPS, DEMO_DRAWN = 200, 50


def evaluate(
    methods: str | Method | Sequence[str | Method] | Mapping[Any, object],
    on: Zoo | str | Path | Sequence[Zoo | str | Path],
    *,
    tasks: str | Task | Sequence[str | Task] | None = None,
    baselines: bool = True,
    seeds: int | Sequence[int] = 3,
    statuses: Sequence[str] = USED,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> Results:
    """Fit methods to zoos, measure each by every task that it can do, beside the baselines.

    methods: names or methods; or a mapping of these to a preset's name, to settings in place of the first one's, to a
    configuration, or to None. tasks: None for all that one of them can do, except `zero_shot`, which is for studies;
    `property_transfer` needs several populations. seeds: how many, or which. What is there under the workspace's
    `runs/` is not made again; what fails is in `.failures`, and the rest is measured all the same.

    >>> found = evaluate(["sane", "pca"], "zoos/digits-cnn_s", tasks=["generation"])  # doctest: +SKIP
    >>> found.standings()  # doctest: +SKIP

    Raises `InputError` for an unknown method, preset, setting or task, and if there is no zoo.
    """
    from zoobench.evaluation import evaluate
    from zoobench.populations import kept_statuses

    chosen = None if tasks is None else [_task(task) for task in listed(tasks)]
    return evaluate(
        _configured(methods),
        zoos_of(on),
        tasks=chosen,
        baselines=baselines,
        seeds=_seeds(seeds),
        statuses=kept_statuses(statuses),
        workspace=workspace,
        progress=progress,
    )


def run_demo(*, workspace: Workspace | None = None, progress: Progress = QUIET) -> Results:
    """Build two zoos on images that zoobench brings along, train SANE on both, and rank it: minutes, and no network.

    >>> run_demo(workspace=Workspace("zoobench-demo")).standings()  # doctest: +SKIP

    Raises `InputError` if the workspace cannot be written.
    """
    from zoobench.zoo.workspace import Workspace

    workspace = workspace or Workspace()
    tasks: list[str | Task] = ["property_prediction", get_task("generation", drawn=DEMO_DRAWN), "reconstruction"]
    with workspace.ray():
        zoos = [build_zoo(workspace=workspace, progress=progress, **DEMO_IMAGES | fields) for fields in DEMO_ZOOS]
        sane = get_method("sane")
        methods = {sane: sane.config("tiny", {"steps": DEMO_STEPS})}
        return evaluate(methods, zoos, tasks=tasks, seeds=2, workspace=workspace, progress=progress)


def run_study(
    study: str | Path | Study,
    *,
    seeds: int | None = None,
    seed: int | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> StudyResults:
    """Make all that a study asks for and is not there yet: zoos, fits, cells. `.standings()`, `.save(folder)`.

    study: a YAML file, or a `Study`; seeds: how many, in place of the study's; seed: the first of them.

    Raises `InputError` if there is no such file, for a field that it cannot have, and for zoos that share models.

    >>> run_study("benchmarks/compositions/smoke.yaml").standings()  # doctest: +SKIP
    """
    from zoobench.studies import run_study

    return run_study(_study(study, seeds, seed), workspace, progress)


def plan_study(
    study: str | Path | Study,
    *,
    seeds: int | None = None,
    seed: int | None = None,
    workspace: Workspace | None = None,
) -> Plan:
    """What a study would do; `.cost()` says about how long it takes.

    Raises `InputError` as `run_study` does.

    >>> plan_study("benchmarks/compositions/smoke.yaml").cost()  # doctest: +SKIP
    """
    from zoobench.studies import plan_study

    return plan_study(_study(study, seeds, seed), workspace)


def get_task(name: str, **settings: Any) -> Task:
    """The task of that name, with settings in place of its own, such as `drawn=50`.

    >>> get_task("generation", drawn=50).drawn
    50

    Raises `InputError`, naming the nearest match, if there is none, and for settings that it does not have.
    """
    from zoobench.tasks.registry import get_task

    return get_task(name, settings)


def _task(task: str | Task) -> Task:
    from zoobench.tasks.registry import get_task

    if isinstance(task, str):
        return get_task(task)
    if not callable(getattr(task, "judge", None)):
        raise InputError(f"a task is a name or a Task, and {as_given(task)} was given; see list_tasks")
    return task


def _seeds(seeds: int | Sequence[int]) -> Sequence[int]:
    found = range(seeds) if isinstance(seeds, int) else seeds
    if not isinstance(found, Sequence) or not found or not all(isinstance(seed, int) and seed >= 0 for seed in found):
        raise InputError(f"seeds are how many, at least 1, or which, as [0, 1], and {as_given(seeds)} was given")
    return found


def _study(study: str | Path | Study, seeds: int | None, seed: int | None) -> Study:
    from zoobench.studies import read_study

    changes = {name: value for name, value in (("seeds", seeds), ("seed", seed)) if value is not None}
    return read_study(Path(study), changes) if isinstance(study, str | Path) else study.model_copy(update=changes)


def _config(method: Method, choice: object) -> object:
    if choice is None or isinstance(choice, str):
        return method.config(choice)
    return method.config(None, choice) if isinstance(choice, Mapping) else choice


def _configured(
    methods: str | Method | Sequence[str | Method] | Mapping[Any, object],
) -> dict[Method, object]:
    """Methods with the configuration of each."""
    from zoobench.methods import Method

    if isinstance(methods, Mapping):
        chosen = ((get_method(method), choice) for method, choice in methods.items())
        return {method: _config(method, choice) for method, choice in chosen}
    listed = [methods] if isinstance(methods, str | Method) else methods
    return {method: method.config(None) for method in map(get_method, listed)}
