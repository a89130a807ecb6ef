"""Fit a method, or take it as it is kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_generation.data.load import ImageStore
from zoo_generation.kept import kept, save
from zoo_generation.progress import QUIET, Progress
from zoobench.methods.granting import granted
from zoobench.methods.method import Method
from zoobench.methods.protocols import Execution, FittedModel
from zoobench.populations import TokenSet


def fit_kept(
    method: Method,
    config: object,
    on: TokenSet,
    seed: int,
    path: Path,
    *,
    device: str,
    images: ImageStore,
    beside: Mapping[str, Any],
    progress: Progress = QUIET,
) -> FittedModel:
    """The method as it is kept at `path`, or fitted now and kept there."""
    if (there := kept(path, method.load)) is not None:
        return there
    started = time.monotonic()
    scratch = path.with_name(f"{path.name}.training")
    report = progress.stage(f"{method.name}: training, seed {seed}")
    shown = TokenSet(on.token_size, tuple(granted(method, each, method.access, images) for each in on.populations))
    model = method.fit(shown, seed, config, Execution(device=device, scratch=scratch, report=report))
    shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method is there
    seconds = {"seconds": round(time.monotonic() - started, 1)}
    save(model, path, {name: dict(content) | seconds for name, content in beside.items()})
    return model
