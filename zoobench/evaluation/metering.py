"""CPU time inside a fitted method, apart from that of the task which asks it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

CALLS = (
    *("embed", "embed_layers", "predict", "predict_from", "generate"),
    *("reconstruct", "merge", "transfer", "grow", "learn", "attribute", "trace", "extract"),
)
"""What tasks ask; each gives one row per model, or per image."""

SAMPLER = "sampler"  # gives a generator, which is metered too


@dataclass
class Meter:
    """core_seconds: CPU time of this process inside a method; models: how many rows it gave."""

    core_seconds: float = 0.0
    models: int = 0


def metered(model: Any, meter: Meter) -> Any:
    """A shallow copy of the fitted method whose calls are counted by the meter. What it calls of itself counts once."""
    watched = copy.copy(model)
    for name in (*CALLS, SAMPLER):
        if callable(call := getattr(model, name, None)):
            object.__setattr__(watched, name, _counted(call, meter, name))  # also of frozen dataclasses
    return watched


def _counted(call: Callable[..., Any], meter: Meter, name: str) -> Callable[..., Any]:
    @wraps(call)
    def counted(*arguments: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            answer = call(*arguments, **named)
        finally:
            meter.core_seconds += time.process_time() - started
        if name == SAMPLER:
            return metered(answer, meter)
        meter.models += len(answer)
        return answer

    return counted
