"""Use a running Ray cluster, or start one here; and decide how many jobs it runs at once."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from zoo_generation.errors import InputError, unknown
from zoo_generation.training.sessions import local_ray, remote_ray

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Resources:
    """The resources of one job: cores, and GPUs or a fraction of one. With `auto`, a job takes a GPU if there is
    one."""

    device: Device = "auto"
    cpus: float = 1
    gpus: float | None = None

    @classmethod
    def of(cls, device: str, cpus: float, gpus: float | None) -> Resources:
        """Resources as a user names them. Raises `InputError` for an unknown device, and for too few cores or GPUs."""
        if device not in get_args(Device):
            raise unknown("device", device, get_args(Device))
        if not 0 < cpus < math.inf or not 0 <= (gpus or 0) < math.inf:
            raise InputError(
                f"a job of {cpus:g} cores and {gpus or 0:g} GPUs was asked for; give more than 0 cores, and no fewer "
                "than 0 GPUs"
            )
        return cls(cast(Device, device), cpus, gpus)

    def on(self, ray: Any) -> tuple[float, float]:
        """Cores and GPUs of a job on this cluster. Raises `InputError` if no job would ever start."""
        there = ray.cluster_resources()
        cores, cards = there.get("CPU", 0), there.get("GPU", 0)
        wanted = self.gpus if self.gpus is not None else float(self.device == "cuda" or bool(cards))
        gpus = 0.0 if self.device == "cpu" else wanted
        if self.cpus <= 0 or self.cpus > cores or gpus > cards:
            raise InputError(
                f"a job of {self.cpus:g} cores and {gpus:g} GPUs does not fit the Ray cluster, which has {cores:g} "
                f"cores and {cards:g} GPUs; lower --cpus-per-job, --gpus-per-job or --device"
            )
        return self.cpus, gpus


def slots(ray: Any, cpus: float, gpus: float) -> int:
    """How many jobs of that many cores and GPUs run at once on the cluster at this moment."""
    there = ray.cluster_resources()
    return max(1, int(min(there.get("CPU", 0) // cpus, there.get("GPU", 0) // gpus if gpus else float("inf"))))


@contextmanager
def ray_session(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray during a `with` block: a running one, a cluster, or a local one that ends with the block.

    The local one is for this process and its user alone, whatever other Ray runs here: see `local_ray`. Raises
    `InputError` if no cluster answers at the address, if none can be started here, and if the cluster is lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # otherwise Ray warns about it
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # it warns of its defaults before it reads its own level
    if ray.is_initialized():
        yield ray
        return
    with local_ray(ray, workers) if address == "local" else remote_ray(ray, address):
        yield ray
