"""What a method costs is the CPU time inside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from zoobench.evaluation.metering import Meter, metered

SPIN = 0.03


def spin() -> None:
    until = time.process_time() + SPIN
    while time.process_time() < until:
        pass


@dataclass(frozen=True)
class Busy:
    """Each call takes `SPIN` core-seconds of its own."""

    rows: int

    def embed(self, population: object) -> list[int]:
        spin()
        return [0] * self.rows

    def predict(self, known: object, values: object, asked: object) -> list[int]:
        spin()
        return self.embed(asked)

    def sampler(self, target: object, settings: object, known: object) -> Busy:
        spin()
        return self

    def generate(self, anchors: object, count: int, seed: int) -> list[int]:
        raise KeyError(count)


@pytest.mark.parametrize(
    ("ask", "spins", "models"),
    [
        (lambda method: method.embed(None), 1, 5),
        (lambda method: method.predict([], [], asked=None), 2, 5),  # what it calls of itself counts once
        (lambda method: method.sampler(None, None, []).embed(None), 2, 5),
        (lambda method: [method.embed(None), method.embed(None)], 2, 10),
    ],
)
def test_time_and_models_are_those_of_the_calls(ask: Any, spins: int, models: int) -> None:
    busy, meter = Busy(5), Meter()
    watched = metered(busy, meter)
    assert isinstance(watched, Busy) and watched == busy and watched is not busy
    ask(watched)
    assert meter.core_seconds >= spins * SPIN and meter.models == models
    with pytest.raises(KeyError):
        watched.generate(None, 3, 0)
    before = meter.models
    busy.embed(None)
    assert meter.models == before
