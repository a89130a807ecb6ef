"""One local Ray for all commands of a test process: each would start one of its own, and its workers import torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from zoo_generation.training import cluster
from zoo_generation.training.sessions import local_ray

CORES = 2


class OneRay:
    """Starts Ray when the first test needs it, and keeps it. Its workers see the environment from before all tests."""

    def __init__(self) -> None:
        self._environment, self._folder = dict(os.environ), Path.cwd()
        self._running = ExitStack()

    @contextmanager
    def local_ray(self, ray: Any, workers: int | None) -> Iterator[None]:
        """In place of the product's, which ends Ray with the block. Has `CORES` cores, whatever `workers` says."""
        own = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        with mock.patch.dict(os.environ, self._environment | own, clear=True), chdir(self._folder):
            self._running.enter_context(local_ray(ray, CORES))
        yield

    def end(self) -> None:
        self._running.close()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """During the block, Ray is started and ended as for a user: with its own workers and environment."""
        self.end()
        with mock.patch.object(cluster, "local_ray", local_ray):
            yield
