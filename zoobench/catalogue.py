"""What there is to choose from: one line for each method, task, dataset, architecture, track, preset and layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from zoo_generation.registry import Description, described

KINDS = ("methods", "tasks", "datasets", "architectures", "tracks", "presets", "importers", "exporters")


def catalogue(kind: str, leaderboards: Path = Path("leaderboards")) -> list[Description]:
    """One line for each thing of a kind, one of `KINDS`; leaderboards: the folder that tracks are in.

    Imports the installed packages that bring such things; one that cannot be used is described by the reason.

    >>> [line.name for line in catalogue("importers")][:3]
    ['modelzoos', 'safetensors', 'table']
    """
    return _LISTS[kind](leaderboards)


def _methods(_: Path) -> list[Description]:
    from zoobench.methods.registry import get_method, method_names

    return described(method_names(), get_method, _access_and_runs)


def _tasks(_: Path) -> list[Description]:
    from zoobench.tasks.registry import TASKS, get_task

    return described(TASKS, get_task, _asks_and_access)


def _access(thing: Any) -> str:
    """What a method needs to see of the data, or what a task lets it see."""
    access = getattr(thing, "access", None)
    return "" if access is None else access.name.lower()


def _access_and_runs(method: Any) -> str:
    """What a method needs to see of the data, and whether it runs the models."""
    runs = "runs the models" if getattr(method, "runs_models", False) else ""
    return ", ".join(part for part in (_access(method), runs) if part)


def _asks_and_access(task: Any) -> str:
    """Which methods a task is for: what they must be able to do, and what they see of the data."""
    asks = getattr(task, "asks", None)
    kinds = [kind.__name__ for kind in get_args(asks) or (asks,) if isinstance(kind, type)]
    return ", ".join(part for part in (" or ".join(kinds), _access(task)) if part)


def _datasets(_: Path) -> list[Description]:
    from zoo_generation.data import dataset_names, get_dataset

    return described(dataset_names(), get_dataset)


def _architectures(_: Path) -> list[Description]:
    from zoo_generation.networks.architectures import get_architecture
    from zoo_generation.networks.registry import ARCHITECTURES

    return described(ARCHITECTURES, get_architecture)


def _tracks(leaderboards: Path) -> list[Description]:
    from zoobench.leaderboard.track import read_tracks

    return [
        Description(track.name, track.summary.strip(), needs=f"{track.scale}, {track.seeds} seeds")
        for track in read_tracks(leaderboards)
    ]


def _presets(_: Path) -> list[Description]:
    from zoo_generation.training.presets import describe, preset_names, source_of

    return [Description(name, describe(name), source_of(name)) for name in preset_names()]


def _importers(_: Path) -> list[Description]:
    from zoobench.zoo.importers import IMPORTERS

    return IMPORTERS.described()


def _exporters(_: Path) -> list[Description]:
    from zoobench.zoo.exporters import EXPORTERS

    return EXPORTERS.described()


_LISTS: dict[str, Callable[[Path], list[Description]]] = {
    "methods": _methods,
    "tasks": _tasks,
    "datasets": _datasets,
    "architectures": _architectures,
    "tracks": _tracks,
    "presets": _presets,
    "importers": _importers,
    "exporters": _exporters,
}
