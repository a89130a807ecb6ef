"""Generated models beside noise around anchors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoobench.evaluation.frontier import KEYS, METRICS, above_noise

LINE = {
    "anchors": (0.0, 0.95),
    "noise_10": (2.0, 0.91),
    "noise_80": (10.0, 0.51),
}  # 0.05 a unit from 2 on


def measured(points: dict[str, tuple[float, float]], target: str = "mnist", seeds: int = 1) -> pd.DataFrame:
    """As an evaluation measures: seeds differ, with the points as their mean."""
    rows = [
        ("–", name, "generation", target, seed, metric, value + 0.01 * (seed - (seeds - 1) / 2))
        for name, point in points.items()
        for seed in range(seeds)
        for metric, value in zip(METRICS, point, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "seed", "metric", "value"])


@given(novelty=st.floats(2, 10), above=st.floats(-0.5, 0.5), seeds=st.integers(1, 3))
def test_what_is_above_noise_is_told(novelty: float, above: float, seeds: int) -> None:
    points = LINE | {"mine": (novelty, 0.91 - 0.05 * (novelty - 2) + above)}
    table = above_noise(measured(points, seeds=seeds)).set_index("method")
    assert table.loc["mine", "above"] == pytest.approx(above, abs=1e-9)
    assert table.loc[list(LINE), "above"].to_numpy() == pytest.approx(np.zeros(3), abs=1e-9)


def test_each_target_has_noise_of_its_own() -> None:
    """Nothing is said where noise is not as new, or was not measured."""
    worse = {name: (novelty, accuracy - 0.3) for name, (novelty, accuracy) in LINE.items()}
    table = above_noise(
        pd.concat(
            [
                measured(LINE | {"mine": (2.0, 0.91), "far": (11.0, 0.5)}),
                measured(worse | {"mine": (2.0, 0.91)}, "fashion"),
                measured({"anchors": (0.0, 0.9), "mine": (2.0, 0.91)}, "digits"),
            ]
        )
    ).set_index(["target", "method"])["above"]
    assert table["mnist", "mine"] == pytest.approx(0) and table["fashion", "mine"] == pytest.approx(0.3)
    assert np.isnan(table["mnist", "far"]) and np.isnan(table["digits", "mine"])
    assert above_noise(measured({})).empty
