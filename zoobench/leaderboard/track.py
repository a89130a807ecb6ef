"""What a track is: a task on zoos that everyone can build, and what may be handed in for it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, ValidationError, model_validator

from zoo_generation.errors import InputError, unknown
from zoo_generation.settings import Fields, Name, read_fields, sentence
from zoobench.tasks.base import Task
from zoobench.tasks.registry import get_task

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Track(Fields):
    """A track, as `leaderboards/<name>/track.yaml` says it.

    zoos: each zoo's content, as `population_digest` has it, none where nobody has built it yet; training: whose
    training and validation models a method may see; targets: what it is measured on; settings: how the task differs
    from its defaults; metrics: what is reported, the first ranks; tolerance: by how much a score may differ when it is
    computed on another machine; allowed: what a method may use, in words.
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
    direction: Literal["higher"]
    holds: Literal["predictions", "weights"]
    tolerance: NonNegativeFloat
    allowed: Annotated[str, Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Track:
        for zoo in (*self.training, *self.targets):
            if zoo not in self.zoos:
                raise unknown("zoo of the track", zoo, self.zoos)
        task = self.get_task()
        if self.holds != task.hands_in:
            raise ValueError(f"a submission for the task '{task.name}' holds {task.hands_in}, not {self.holds}")
        return self

    def get_task(self) -> Task:
        """The task, as it is to be measured."""
        return get_task(self.task, self.settings)

    @property
    def metric(self) -> str:
        """The metric that ranks; higher is better."""
        return self.metrics[0]

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds that a method is measured under."""
        return tuple(range(self.seeds))

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """What is predicted, where predictions are handed in."""
        return tuple(dict.fromkeys(metric.partition(":")[2] for metric in self.metrics if ":" in metric))

    @property
    def artefact(self) -> str:
        """The name of the file that a submission holds."""
        return "predictions.parquet" if self.holds == "predictions" else "weights.safetensors"


def track_names(leaderboards: Path) -> list[str]:
    """Tracks that are defined."""
    return sorted(path.parent.name for path in leaderboards.glob("*/track.yaml"))


def read_track(leaderboards: Path, name: str) -> Track:
    """A track; raises `InputError` where there is no such, or its file is wrong."""
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
    """All tracks, or those of a scale; raises `InputError` where there are none."""
    names = track_names(leaderboards)
    tracks = [read_track(leaderboards, name) for name in names or [""]]
    return [track for track in tracks if scale in (None, track.scale)]


def spec_path(leaderboards: Path, zoo: str) -> Path:
    """Where the spec lies that a track's zoo is built from."""
    return leaderboards / "zoos" / zoo / "zoo.yaml"


def zoo_fields(leaderboards: Path, zoo: str) -> dict[str, Any]:
    """The fields of that spec."""
    return read_fields(spec_path(leaderboards, zoo), "zoo's spec", "'datasets:' and 'architectures:'")
