"""A track: a task on zoos that everyone can build, and the format of its submissions."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, NonNegativeFloat, ValidationError, model_validator

from zoo_generation.errors import InputError, unknown
from zoo_generation.settings import Fields, Name, read_fields, sentence
from zoo_generation.text import quoted
from zoo_generation.training.spec import ZooSpec, make_spec, read_spec
from zoobench.evaluation.plan import Origin, Plan, TrainingSet, applies
from zoobench.methods.method import Method
from zoobench.populations import KEPT, Access
from zoobench.tasks.base import Combining, Extracting, Task
from zoobench.tasks.registry import get_task
from zoobench.zoo import Zoo, zoo_path
from zoobench.zoo.source import Source, check_apart

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seen = Literal["weights", "statistics", "images", "labels"]

EVERYWHERE = (
    "The training and validation models of the training zoos, with all recorded columns. Of test models only their "
    "weights, when they are asked about. No other models."
)
COMBINED = (
    "The training and validation models of the training zoos, with all recorded columns. Of the test models that "
    "others are made of, their weights and what comes with them. No other models."
)
ANSWERED = (
    "The training and validation models of the training zoos, with all recorded columns. Of the test models to copy, "
    "answers to as many images as the budget says; of those that are given as bases, their weights. No other models."
)
ALLOWED: dict[Seen, str] = {
    "weights": "No images.",
    "statistics": "The first and second moments of each layer's inputs over training images, and no images.",
    "images": "The training and validation images of each target, without their labels. No test images.",
    "labels": "The training and validation images of each target, with their labels. No test images.",
}


class Track(Fields):
    """A track, from `leaderboards/<name>/track.yaml`.

    zoos: each zoo's content, its `population_digest`, None if nobody has built it yet; training: zoos whose training
    and validation models a method may see; targets: zoos that it is measured on; settings: changes to the task's
    defaults; metrics: to report, the first ranks and higher is better; tolerance: how much a score may differ on
    another machine, relative to a score above 1; tolerances: others, by metric, such as for shares of few models;
    access: the most that a method may see; note: what else it may or may not use, in words. The task decides what a
    submission holds. A file may still give `holds` and `direction`, and call the note `allowed`.
    """

    format: Literal["zoobench-track/1"]
    name: Name
    title: Annotated[str, Field(min_length=1, max_length=80)]
    summary: Annotated[str, Field(min_length=1, max_length=500)]
    scale: Literal["two-cores", "paper"]
    task: str
    settings: dict[str, Any] = Field(default_factory=dict)
    zoos: Annotated[dict[Name, Digest | None], Field(min_length=1)]
    training: Annotated[tuple[Name, ...], Field(min_length=1)]
    targets: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[int, Field(gt=0, le=1000)] = 3
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    tolerance: NonNegativeFloat
    tolerances: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    access: Seen = "weights"
    note: Annotated[str, Field(max_length=1000)] = ""

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, values: Any) -> Any:
        """Check and drop fields that the task decides now."""
        if not isinstance(values, dict):
            return values
        direction, holds = values.get("direction", "higher"), values.get("holds")
        if direction != "higher":
            raise ValueError(f"the direction was given as '{quoted(direction, 60)}'; higher is better in every metric")
        if holds is not None and isinstance(task := values.get("task"), str):
            wanted = _kind_of(get_task(task, values.get("settings") or {}))
            if holds != wanted:
                raise ValueError(f"a submission for the task '{task}' holds {wanted}, not {quoted(holds, 60)}")
        kept = {name: each for name, each in values.items() if name not in ("direction", "holds", "allowed")}
        return {"note": values["allowed"]} | kept if "allowed" in values else kept

    @model_validator(mode="after")
    def _is_consistent(self) -> Track:
        for zoo in (*self.training, *self.targets):
            if zoo not in self.zoos:
                raise unknown("zoo of the track", zoo, self.zoos)
        for metric in self.tolerances:
            if metric not in self.metrics:
                raise unknown("metric of the track", metric, self.metrics)
        self.get_task()
        return self

    def get_task(self) -> Task:
        """The task with its settings; of properties it asks for those that the track reports, and no others."""
        task = get_task(self.task, self.settings)
        if "properties" in {field.name for field in fields(task)}:  # type: ignore[arg-type]
            return replace(task, properties=self.properties)  # type: ignore[type-var]
        return task

    @cached_property
    def task_version(self) -> int:
        """The version of the task: entries that another version scored are not compared with others."""
        return self.get_task().version

    @property
    def metric(self) -> str:
        """The metric that ranks; higher is better."""
        return self.metrics[0]

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds to measure a method under."""
        return tuple(range(self.seeds))

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties to predict; none unless submissions hold predictions."""
        if _kind_of(get_task(self.task, self.settings)) != "predictions":
            return ()
        return tuple(dict.fromkeys(metric.partition(":")[2] for metric in self.metrics if ":" in metric))

    @property
    def holds(self) -> str:
        """What a submission holds: `predictions`, `weights` or `scores`."""
        return _kind_of(self.get_task())

    @property
    def artefact(self) -> str:
        """The name of the file that a submission holds."""
        return f"{self.holds}.{'parquet' if self.holds == 'predictions' else 'safetensors'}"

    @property
    def rules(self) -> str:
        """What a method may use, in words."""
        task = self.get_task()
        everywhere = COMBINED if isinstance(task, Combining) else EVERYWHERE
        everywhere = ANSWERED if isinstance(task, Extracting) else everywhere
        return " ".join(part for part in (everywhere, ALLOWED[self.access], self.note.strip()) if part)

    def allows(self, method: Method) -> bool:
        """Whether a method can do what the track asks for, with the access that the track allows."""
        return applies(self.get_task(), method) and method.access <= Access[self.access.upper()]

    def plan(
        self,
        leaderboards: Path,
        zoos: Path,
        method: Method | None = None,
        config: object = None,
        seed: int | None = None,
    ) -> Plan:
        """The plan of measuring a method, in a configuration, on the track; without a method, of the track's zoos
        alone.

        leaderboards: folder of the zoos' specs; zoos: folder of the zoos; seed: the first of their models, None for
        that of their specs. Raises `InputError` for a zoo of several populations.
        """
        origins = {zoo: _origin(zoo, zoo_spec(leaderboards, zoo, seed), zoos) for zoo in self.zoos}
        check_apart(source for origin in origins.values() for source in origin.zoos)
        return Plan.of(
            {} if method is None else {method: config},
            [TrainingSet("training", tuple(origins[zoo] for zoo in self.training))],
            [origins[target] for target in self.targets],
            [self.get_task()],
            self.all_seeds,
            list(origins.values()),
        )

    def fields(self) -> dict[str, Any]:
        """The content of its file, with what follows from the task, for other programs."""
        return self.model_dump(mode="json") | {"holds": self.holds, "task_version": self.task_version}


def track_names(leaderboards: Path) -> list[str]:
    """The names of all tracks."""
    return sorted(path.parent.name for path in leaderboards.glob("*/track.yaml"))


def read_track(leaderboards: Path, name: str) -> Track:
    """The track of that name. Raises `InputError` if there is none, or its file is wrong."""
    if name not in (names := track_names(leaderboards)):
        if not names:
            raise InputError(f"there are no tracks under {leaderboards}; give --home a clone of zoobench's repository")
        raise unknown("track", name, names)
    path = leaderboards / name / "track.yaml"
    values = read_fields(path, "track", "'task:', 'training:' and 'targets:'; see leaderboards/README.md")
    try:
        return Track(**values | {"name": name})
    except ValidationError as error:
        raise InputError(f"the track {path}: {sentence(error)}") from None


def read_tracks(leaderboards: Path, scale: str | None = None) -> list[Track]:
    """All tracks, or those of a scale. Raises `InputError` if there are none."""
    names = track_names(leaderboards)
    tracks = [read_track(leaderboards, name) for name in names or [""]]
    return [track for track in tracks if scale in (None, track.scale)]


def spec_path(leaderboards: Path, zoo: str) -> Path:
    """The path of the spec of a track's zoo."""
    return leaderboards / "zoos" / zoo / "zoo.yaml"


def zoo_spec(leaderboards: Path, zoo: str, seed: int | None = None) -> ZooSpec | str:
    """The spec of a track's zoo, or its path if it exists already (`path:`).

    seed: the first of its models, None for the spec's own.
    """
    given = read_fields(spec_path(leaderboards, zoo), "zoo's spec", "'datasets:' and 'architectures:'")
    if "path" in given:
        if seed is not None:
            raise InputError(f"zoo '{zoo}' is not built from a spec, so another seed cannot be given")
        return str(given["path"])
    try:
        base = read_spec(str(given["spec"])) if "spec" in given else {}
        own = {key: value for key, value in given.items() if key != "spec"}
        spec = make_spec(base | own | ({} if seed is None else {"seed": seed}))
    except InputError as error:
        raise InputError(f"zoo '{zoo}': {error}") from None
    return spec.model_copy(update={"name": zoo})


def _origin(name: str, spec: ZooSpec | str, zoos: Path) -> Origin:
    if isinstance(spec, ZooSpec):
        source = Source.planned(name, spec, zoos)
    else:
        source = Source.there(name, Zoo(zoo_path(spec)), KEPT)
    if len(found := Origin.all_of(source)) != 1:
        raise InputError(f"the zoo '{name}' has {len(found)} populations; a track's zoo has one, so make several zoos")
    return found[0]


def _kind_of(task: Task) -> str:
    """The kind of a task's form, from the annotation of its method `form`, so that no population is needed."""
    kind = getattr(get_type_hints(type(task).form).get("return"), "kind", None)
    if kind is None:
        raise InputError(f"the task '{task.name}' does not say which form it returns; annotate its method 'form'")
    return str(kind)
