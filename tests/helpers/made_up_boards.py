"""Boards with something of everything, for tests."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import numpy as np

from zoobench.leaderboard.board import Board
from zoobench.leaderboard.entry import CONDITIONS, Artefact, Entry, Score
from zoobench.leaderboard.track import Track

HOSTILE = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>{{7*7}}'
TURNING = "safe\u202egnirts\u2066 \x07bell"
LONG = "W" * 80
AUTHORS = tuple(f"Author Number {place} of a Large Collaboration" for place in range(50))
METRICS = ("r2:test_accuracy", "tau:test_accuracy", "accuracy:learning_rate")
ZOOS = ("digits-cnn_s", "glyphs-cnn_s")
SEEDS = (0, 1, 2)
LINK = "https://example.org/paper?a=1&b=%3Cscript%3E'\"><script>alert(1)</script>"
CODE = "https://example.org/code"


def made_up_track(name: str = "property-id", **changes: Any) -> Track:
    fields: dict[str, Any] = {
        "format": "zoobench-track/1",
        "name": name,
        "title": "Property prediction, in distribution",
        "summary": "Test accuracy and learning rate of unseen models, read off their weights.",
        "scale": "two-cores",
        "task": "property_prediction",
        "zoos": {ZOOS[0]: hashlib.sha256(b"digits").hexdigest(), ZOOS[1]: None},
        "training": ZOOS,
        "targets": ZOOS,
        "metrics": METRICS,
        "tolerance": 0.000001,
        "note": "Nothing else.",
    }
    return Track(**{**fields, **changes})


def made_up_entry(name: str, level: float | None, **changes: Any) -> Entry:
    """Scores around a level, different for each metric and target; a level of None gives NaN."""
    generator = np.random.default_rng(len(name))
    scores = [_score(target, metric, level, generator) for target in ZOOS for metric in METRICS]
    fields: dict[str, Any] = {
        "track": "property-id",
        "name": "made-up",
        "method": name,
        "authors": ("Ada Lovelace", "Emmy Noether"),
        "licence": "MIT",
        "seeds": SEEDS,
        "date": datetime.date(2026, 3, len(name)),
        "artefact": Artefact(sha256=hashlib.sha256(name.encode()).hexdigest(), bytes=123_456),
        "content": hashlib.sha256(name.encode() + b"content").hexdigest(),
        "scores": tuple(scores),
    }
    return Entry(**fields).model_copy(update={"name": name} | changes)  # unchecked: pages are safe whatever it says


def _score(target: str, metric: str, level: float | None, generator: np.random.Generator) -> Score:
    if level is None:
        none = {"mean": None, "std": None, "low": None, "high": None, "values": (None,) * len(SEEDS)}
        return Score(target=target, metric=metric, **none)
    shift = 0.1 * ZOOS.index(target) - 0.2 * METRICS.index(metric)
    values = level + shift + generator.normal(0, 0.01, len(SEEDS))
    mean = float(values.mean())
    return Score(
        target=target,
        metric=metric,
        mean=mean,
        std=float(values.std(ddof=1)),
        low=mean - 0.02,
        high=mean + 0.03,
        values=tuple(map(float, values)),
    )


def made_up_boards() -> list[Board]:
    """A full track, one with a single target, one at paper scale without entries."""
    good = made_up_entry("sane", 0.8, paper=LINK, code=CODE, parameters=1_234_567, description="Two.\nParagraphs.")
    good = good.model_copy(update=_conditions("weights", False, 1234.5))
    untold = dict.fromkeys(CONDITIONS)
    tied = good.model_copy(update={"name": "also-sane", "method": "SANE again", **untold})
    entries = [
        good,
        tied,
        made_up_entry("layer-statistics", 0.7, **_statistics()),
        made_up_entry("hostile", 0.65, **_hostile(), **_conditions("images", True, 20.25)),
        made_up_entry("long", 0.6, method=LONG, authors=(LONG, *AUTHORS[1:]), compute="W" * 200, hardware="H" * 200),
        made_up_entry("random", -40.0, baseline=True, method="Random"),
        made_up_entry("nothing", None, method="Nothing but NaN"),
        made_up_entry("half", 0.5, method="Half the targets", **_conditions("weights", True, 20.0)).model_copy(
            update={"scores": good.scores[:3]}
        ),
        made_up_entry("scoreless", 0.5, method="No scores").model_copy(update={"scores": ()}),
        made_up_entry("one-seed", 0.75).model_copy(update={"scores": _of_one_seed(good.scores)}),
    ]
    single = made_up_track("property-cross-dataset", title="Across datasets", training=ZOOS[:1], targets=ZOOS[1:])
    return [
        _board(made_up_track("property-paper", scale="paper", title=f"Large {HOSTILE}"), []),
        _board(made_up_track(), entries),
        _board(single, entries[:3]),
    ]


def _board(track: Track, entries: list[Entry]) -> Board:
    of_track = [entry.model_copy(update={"track": track.name}) for entry in entries]
    return Board(track, tuple(entry for _, entry in Board(track, tuple(of_track)).ranked()))


def _conditions(access: str, runs_models: bool, fit: float) -> dict[str, Any]:
    return {"access": access, "runs_models": runs_models, "fit_core_seconds": fit, "asked_core_seconds": 0.25}


def _statistics() -> dict[str, Any]:
    free = _conditions("statistics", False, 0.0)
    return {"baseline": True, "seeds": (0,), "parameters": 0, "authors": ("zoobench",)} | free


def _hostile() -> dict[str, Any]:
    return {
        "method": HOSTILE,
        "authors": (IMAGE, TURNING, "עברית", "作者"),
        "description": f"{HOSTILE}\n{IMAGE}\n{TURNING}",
        "licence": IMAGE,
        "compute": HOSTILE,
        "hardware": f"{TURNING}\n{IMAGE}",
        "versions": {HOSTILE: IMAGE},
        "command": f"echo '{HOSTILE}'\nrm -rf {IMAGE}",
        "paper": LINK,
        "artefact": Artefact(sha256="0" * 64, bytes=1, url=LINK),
    }


def _of_one_seed(scores: tuple[Score, ...]) -> tuple[Score, ...]:
    return tuple(score.model_copy(update={"std": None, "values": score.values[:1]}) for score in scores)
