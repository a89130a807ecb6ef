"""Where work is done: folders, images, and the processes that share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_generation.training.cluster import Resources, ray_session


@dataclass(frozen=True)
class Workspace:
    """Where work runs and keeps its results.

    home: the folder of `zoos/`, `models/`, `runs/`, `results/` and `leaderboards/`; data_root: the folder of the
    images, None for `$ZOOBENCH_DATA` or the user's cache; device: `auto`, `cpu` or `cuda`; workers: processes of a Ray
    that is started here, None for one per core; ray_address: the address of a running cluster; cpus: cores per job;
    gpus: GPUs per job, None for one if the cluster has any.

    >>> Workspace("my-work").runs
    PosixPath('my-work/runs')
    """

    home: Path = Path()
    data_root: Path | None = None
    device: str = "auto"
    workers: int | None = None
    ray_address: str | None = None
    cpus: float = 1
    gpus: float | None = None
    resources: Resources = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take paths as text too. Raises `InputError` for an unknown device, and for cores that are not above 0."""
        object.__setattr__(self, "home", Path(self.home))
        object.__setattr__(self, "data_root", None if self.data_root is None else Path(self.data_root))
        object.__setattr__(self, "resources", Resources.of(self.device, self.cpus, self.gpus))

    @property
    def zoos(self) -> Path:
        """The folder of zoos."""
        return self.home / "zoos"

    @property
    def models(self) -> Path:
        """The folder of fitted methods, unless another is given."""
        return self.home / "models"

    @property
    def runs(self) -> Path:
        """The folder where fits and measurements are cached, by content."""
        return self.home / "runs"

    @property
    def results(self) -> Path:
        """The folder of reports, tables and figures."""
        return self.home / "results"

    @property
    def leaderboards(self) -> Path:
        """Tracks and their entries."""
        return self.home / "leaderboards"

    @contextmanager
    def ray(self) -> Iterator[Any]:
        """Ray during a `with` block, see `ray_session`."""
        with ray_session(self.ray_address, self.workers) as ray:
            yield ray
