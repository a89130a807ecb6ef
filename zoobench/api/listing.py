"""What there is to choose from, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoobench.zoo.workspace import Workspace


def list_methods() -> tuple[str, ...]:
    """Names of all methods, those of installed packages last.

    >>> "sane" in list_methods()
    True
    """
    from zoobench.methods.registry import METHODS

    return METHODS.names()


def list_tasks() -> tuple[str, ...]:
    """Names of all tasks.

    >>> "generation" in list_tasks()
    True
    """
    from zoobench.tasks.registry import TASKS

    return TASKS.names()


def list_datasets() -> tuple[str, ...]:
    """Names of all datasets, whether or not their images are here.

    >>> "digits" in list_datasets()
    True
    """
    from zoo_generation.data import dataset_names

    return tuple(dataset_names())


def list_architectures() -> tuple[str, ...]:
    """Names of all architectures.

    >>> "cnn_s" in list_architectures()
    True
    """
    from zoo_generation.networks.architectures import architecture_names

    return tuple(architecture_names())


def list_presets() -> tuple[str, ...]:
    """Names of all presets of zoos, for `build_zoo`.

    >>> "cnn-seed-small" in list_presets()
    True
    """
    from zoo_generation.training.presets import preset_names

    return tuple(preset_names())


def list_tracks(*, scale: str | None = None, workspace: Workspace | None = None) -> tuple[str, ...]:
    """Names of the tracks in the workspace's `leaderboards/`; scale: `two-cores` or `paper`, None for both.

    >>> list_tracks(scale="two-cores")  # doctest: +SKIP
    """
    from zoobench.leaderboard import read_tracks, track_names
    from zoobench.zoo.workspace import Workspace

    leaderboards = (workspace or Workspace()).leaderboards
    found = track_names(leaderboards) if scale is None else (each.name for each in read_tracks(leaderboards, scale))
    return tuple(found)


def list_importers() -> tuple[str, ...]:
    """Names of the layouts that `import_zoo` reads.

    >>> "modelzoos" in list_importers()
    True
    """
    from zoobench.zoo.importers.registry import IMPORTERS

    return IMPORTERS.names()


def list_exporters() -> tuple[str, ...]:
    """Names of the layouts that `export_zoo` writes.

    >>> "huggingface" in list_exporters()
    True
    """
    from zoobench.zoo.exporters.registry import EXPORTERS

    return EXPORTERS.names()
