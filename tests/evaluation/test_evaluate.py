"""Methods measured on zoos, through the shell and through Python: one engine with one cache."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Install, Run

from zoobench.evaluation import Origin, Plan, Results, TrainingSet, evaluate, fitted
from zoobench.evaluation import run as run_plan
from zoobench.methods.registry import get_method
from zoobench.populations import KEPT
from zoobench.studies.results import run_study
from zoobench.studies.study import Study
from zoobench.tasks.answers import Weights
from zoobench.tasks.registry import get_task
from zoobench.zoo import Zoo
from zoobench.zoo.source import Source
from zoobench.zoo.workspace import Workspace

SANE = {"d_model": 32, "heads": 2, "layers": 1, "latent": 8, "steps": 6}
SET = ",".join(f"{name}={value}" for name, value in SANE.items())
TASKS = "property_prediction,reconstruction"
BROKEN = """
import torch
from zoobench.methods import Method, Unlearned

class Broken(Unlearned):
    def embed(self, population):
        raise RuntimeError("as it was asked to")

    def reconstruct(self, population):
        return population.weights

METHOD = Method("broken", Broken, random=False, learns=False)
"""


def zoo_of(home: Path) -> Path:
    return home / "zoos" / "digits-cnn_s"


def tables(home: Path, method: str) -> list[pd.DataFrame]:
    folder = home / "results" / f"digits-cnn_s-{method}"
    return [pd.read_parquet(folder / "measurements.parquet"), pd.read_csv(folder / "standings.csv")]


def pieces(home: Path) -> dict[Path, int]:
    """All kept files, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in (home / "runs").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """SANE beside the baselines by two tasks, through Python, by the two workers that tests share."""
    home = tmp_path_factory.mktemp("one")
    sane = get_method("sane")
    tasks = [get_task(name) for name in TASKS.split(",")]
    results = evaluate(
        {sane: sane.config(None, SANE)},
        [Zoo(zoo_of(built))],
        tasks=tasks,
        seeds=[0],
        workspace=Workspace(home, device="cpu"),
    )
    results.save(home / "results" / "digits-cnn_s-sane")
    return home, results


@pytest.mark.faults
def test_one_worker_of_the_shell_measures_what_two_of_python_do(
    run: Run, built: Path, evaluated: tuple[Path, Results], own_ray: None, tmp_path: Path
) -> None:
    home, results = evaluated
    command = ["eval", "--method", "sane", "--set", SET, "--zoo", zoo_of(built), "--tasks", TASKS, "--seeds", 1]
    code, output = run(*command, "--device", "cpu", "--workers", 1, "--home", tmp_path)
    assert code == 0 and "Property prediction" in output and "Reconstruction" in output, output
    for one, other in zip(tables(home, "sane"), tables(tmp_path, "sane"), strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert results.failures == {} and {"sane", "pca", "layer_statistics"} <= set(results.standings()["method"])
    assert {"task_version", "method_version", "zoobench"} <= set(results.measurements)
    assert (tmp_path / "results" / "digits-cnn_s-sane" / "scores.png").stat().st_size > 1000
    assert "sane" in results._repr_html_()

    before = pieces(tmp_path)
    code, output = run(*command, "--workers", 2, "--device", "cpu", "--home", tmp_path, "--json")
    assert code == 0 and output.startswith("{") and '"standings"' in output
    assert pieces(tmp_path) == before
    folder = tmp_path / "results" / "digits-cnn_s-sane"
    assert list(folder.parent.iterdir()) == [folder]  # the same plan replaces its own results
    fewer = replace(results, plan=Plan(results.plan.cells[:1], results.plan.origins))
    for _ in range(2):
        assert fewer.save_beside(folder) == folder.with_name("digits-cnn_s-sane-2")
    pd.testing.assert_frame_equal(tables(tmp_path, "sane")[0], results.measurements)


@pytest.mark.faults
def test_a_fit_of_eval_is_that_of_a_study_and_of_a_track(built: Path, evaluated: tuple[Path, Results]) -> None:
    home, results = evaluated
    readers = {"flat_weights", "layer_statistics", "spectral_statistics", "pca", "training_mean", "hyperparameters"}
    table = results.measurements
    assert set(table["method"][table["task"] == "property_prediction"]) == {"sane"} | readers
    workspace, path = Workspace(home, workers=1, device="cpu"), zoo_of(built)
    fits = sorted((home / "runs" / "pieces" / "fits").iterdir())
    study = Study(
        name="study",
        zoos={"mine": {"path": str(path)}},
        combine=("alone",),
        methods={"sane": {"set": SANE}},
        baselines=False,
        tasks={"property_prediction": {}},
        seeds=1,
    )
    studied = run_study(study, workspace)
    assert not studied.failures and studied.compositions["models"].tolist() == [10]
    (target,) = Origin.all_of(Source.there("of-a-track", Zoo(path), KEPT))
    sane = get_method("sane")
    plan = Plan.of(
        {sane: sane.config(None, SANE)},
        [TrainingSet("training", (target,))],
        [target],
        [get_task("reconstruction")],
        [0],
    )
    tracked = run_plan(plan, workspace)
    assert list(tracked.answers) == [("of-a-track", 0)] and isinstance(tracked.answers["of-a-track", 0], Weights)
    assert sorted((home / "runs" / "pieces" / "fits").iterdir()) == fits
    of_eval = results.measurements.set_index(["method", "task", "metric", "seed"])["value"]
    for row in (*studied.measurements.itertuples(), *tracked.measurements.itertuples()):
        assert of_eval[row.method, row.task, row.metric, row.seed] == pytest.approx(row.value, nan_ok=True, abs=0)
    same = fitted(sane, sane.config(None, SANE), [Zoo(path)], workspace=workspace)
    assert type(same.model).__name__ == "Sane" and len(same.digest) == 16
    assert sorted((home / "runs" / "pieces" / "fits").iterdir()) == fits


@pytest.mark.faults
def test_one_failed_method_does_not_end_it(
    install: Install, own_ray: None, built: Path, evaluated: tuple[Path, Results], tmp_path: Path
) -> None:
    install("broken-method", {"broken": "broken_method:METHOD"}, broken_method=BROKEN)
    methods = [get_method(name) for name in ("broken", "layer_statistics", "pca")]
    tasks, workspace = [get_task(name) for name in TASKS.split(",")], Workspace(tmp_path, workers=2, device="cpu")
    zoos = [Zoo(zoo_of(built))]
    results = evaluate(methods, zoos, tasks=tasks, baselines=False, seeds=[0], workspace=workspace)
    failed = "property_prediction on digits-cnn_s-1x28: broken, seed 0"
    assert results.failures == {failed: "RuntimeError: as it was asked to"}
    table, whole = results.measurements, evaluated[1].measurements
    assert set(table["task"][table["method"] == "broken"]) == {"reconstruction"}
    beside, expected = (
        each[each["method"].isin(["layer_statistics", "pca"])].reset_index(drop=True) for each in (table, whole)
    )
    pd.testing.assert_frame_equal(beside, expected)


@pytest.mark.faults
def test_an_evaluation_that_is_killed_goes_on(built: Path, evaluated: tuple[Path, Results], tmp_path: Path) -> None:
    arguments = ["eval", "--set", SET, "--zoo", zoo_of(built), "--tasks", TASKS, "--seeds", 1, "--device", "cpu"]
    command = [sys.executable, "-m", "zoobench", *map(str, arguments), "--workers", "1", "--home", str(tmp_path)]
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    running, deadline = subprocess.Popen(command, **options), time.monotonic() + 200
    while len(list((tmp_path / "runs" / "pieces").glob("*/*/*.json"))) < 3:
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)  # the driver and its workers, at once
    running.wait()
    assert not (tmp_path / "results").exists()
    before = {path for path in pieces(tmp_path) if path.name == "cell.json"}
    assert subprocess.Popen(command, **options).wait(200) == 0
    assert before <= pieces(tmp_path).keys()
    for one, other in zip(tables(tmp_path, "sane"), tables(evaluated[0], "sane"), strict=True):
        pd.testing.assert_frame_equal(one, other)
