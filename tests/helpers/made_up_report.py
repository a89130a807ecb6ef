"""A report with something of everything, for tests."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.studies.curves import POINTS
from zoobench.studies.effects import AGAINST, EFFECTS, FACTORS
from zoobench.studies.effects import BASELINES as OF_TARGETS
from zoobench.studies.relations import ID
from zoobench.studies.report import Report

HOSTILE = "<script>alert(1)</script>"
PEER = '_peer <b id="a">&</b> | $x_1$ [red]'
TARGETS = ["mnist/cnn_s", "svhn/cnn_s", "cifar10/cnn_s", "mnist/resnet18"]
ZOOS = {
    "mnist": "mnist/cnn_s",
    "mnist-half": "mnist/cnn_s",
    "mnist-quarter": "mnist/cnn_s",
    "mnist+svhn": "mnist/cnn_s + svhn/cnn_s",
    "all": "mnist/cnn_s + svhn/cnn_s + cifar10/cnn_s",
    HOSTILE: "<img src=https://example.org/x onerror=alert(1)>",
}
MODELS = dict(zip(ZOOS, [800, 400, 200, 800, 2400, 200], strict=True))
METRICS = {
    "property_prediction": ["test_accuracy_r2", "epoch_r2"],
    "generation": ["kept_mean", "kept_best"],
    "fine_tuning": ["after_1", "after_0", "after_5", "after_25"],
}
BASELINES = {"property_prediction": "layer_statistics", "generation": "random_init", "fine_tuning": "random_init"}


def made_up_report() -> Report:
    """Several compositions, sizes and targets, one and three seeds, missing scores, failures, hostile names."""
    generator = np.random.default_rng(0)
    rows = []
    for task, metrics in METRICS.items():
        learned = itertools.product(ZOOS, ["sane", PEER])
        for composition, method in [*learned, (NO_COMPOSITION, BASELINES[task])]:
            for target, metric, seed in itertools.product(TARGETS, metrics, range(3)):
                if (composition, target) == ("mnist-quarter", TARGETS[3]):
                    continue  # was never measured
                value = generator.uniform(0.1, 0.95) + (metric == "after_25") * 0.05
                value = math.nan if (composition, metric) == (HOSTILE, "kept_mean") else value
                value = -40.0 if (composition, metric, target) == ("all", "epoch_r2", TARGETS[3]) else value
                rows.append((composition, method, task, target, _relation(composition, target), metric, seed, value))
    keys = ["composition", "method", "task", "target", "relation", "metric"]
    measurements = pd.DataFrame(rows, columns=[*keys, "seed", "value"])
    summary = measurements.groupby(keys, sort=False)["value"].agg(mean="mean", std="std", seeds="count").reset_index()
    summary.loc[summary["method"] == "random_init", "std"] = math.nan
    summary["low"], summary["high"] = summary["mean"] - 0.03, summary["mean"] + 0.03
    return Report(
        title="What a zoo is made of",
        description=f"Does it help to train on several zoos?\n\nA made-up study of {HOSTILE}.",
        compositions=pd.DataFrame(
            [(name, ZOOS[name], MODELS[name], 5 * MODELS[name], 120 * MODELS[name]) for name in ZOOS],
            columns=["composition", "zoos", "models", "checkpoints", "tokens"],
        ),
        fits=_fits(),
        summary=summary,
        measurements=measurements,
        effects=_effects(EFFECTS, "factor", tuple(each.name for each in FACTORS)),
        against_baselines=_effects(AGAINST, "baseline", OF_TARGETS),
        curves=_curves(),
        comparisons=_comparisons(),
        failures=pd.DataFrame([(f"all · {HOSTILE}", "out of memory: <b>8 GiB</b>")], columns=["cell", "reason"]),
        primary={"property_prediction": "test_accuracy_r2", "generation": "kept_mean", "fine_tuning": "after_1"},
        made={"command": "zoobench ablation run composition.yaml", "commit": "db39728", "seeds": "0, 1, 2"},
    )


def _fits() -> pd.DataFrame:
    """One that had converged, one that had not under one of its seeds, one of which nothing is known."""
    rows = [("mnist", "3 epochs", "sane", 0, 300, 3.0, 40.5, 0.21, 0.004, "yes")]
    rows += [("all", "400 steps", "sane", seed, 400, 1.5, 50.0, 0.4, 0.03 - seed * 0.02, "no") for seed in (0, 1)]
    rows += [(HOSTILE, "–", PEER, 0, *[math.nan] * 5, "unknown")]
    names = "composition budget method seed steps epochs core_seconds loss fall converged"
    return pd.DataFrame(rows, columns=names.split())


def _relation(composition: str, target: str) -> str:
    if composition == NO_COMPOSITION:
        return NO_COMPOSITION
    if target.endswith("resnet18"):
        return "OOD architecture" if target.split("/")[0] in ZOOS[composition] else "OOD both"
    return ID if target in ZOOS[composition] else "OOD dataset"


def _effects(columns: list[str], varies: str, values: tuple[str, ...]) -> pd.DataFrame:
    """One row per task, value and relation, hostile names among them."""
    rows = []
    verdicts = itertools.cycle(["better", "not distinguishable", "worse"])
    for (task, metrics), value, relation in itertools.product(METRICS.items(), values, ["ID", "OOD"]):
        row = {"task": task, "metric": metrics[0], "method": PEER, "budget": "", "composition": HOSTILE, varies: value}
        row |= {"relation": relation, "targets": 3, "compositions": 4, "effect": 0.01, "low": -0.02, "high": 0.04}
        row |= {"p": 0.2, "holm": 0.4, "could_see": math.nan, "verdict": next(verdicts)}
        rows.append(row | {"sentence": f"{value} changes {task} by {HOSTILE}."})
    return pd.DataFrame(rows)[columns]


def _curves() -> pd.DataFrame:
    rows = []
    for over, relation, line in itertools.product(["datasets", "models"], ["ID", "OOD"], ["sane, 4", PEER, "anchors"]):
        for x in [math.nan] if line == "anchors" else [1, 4]:
            rows.append((over, "generation", "kept_mean", line, "", relation, line, x, 4, 0.5, 0.4, 0.6))
    return pd.DataFrame(rows, columns=POINTS)


def _comparisons() -> pd.DataFrame:
    rows = []
    verdicts = itertools.cycle([("better", 0.12), ("not distinguishable", 0.01), ("worse", -0.08)])
    for question in ("Does diversity help?", f"Does size help? {HOSTILE}"):
        for targets in ("mean over ID", "mean over OOD", *TARGETS):
            verdict, difference = next(verdicts)
            sentence = (
                f"Generation by sane on {targets}: all against mnist differs by {difference:+.3f} "
                f"[{difference - 0.02:+.3f}, {difference + 0.02:+.3f}] in kept mean accuracy."
            )
            compared = [question, "generation", "kept_mean", "sane", "all", "mnist", targets]
            numbers = [difference, difference - 0.02, difference + 0.02, 0.01, 0.02]
            rows.append([*compared, *numbers, verdict, sentence, "not both"])
    names = (
        "question task metric method composition against targets difference low high p holm verdict sentence converged"
    )
    return pd.DataFrame(rows, columns=names.split())
