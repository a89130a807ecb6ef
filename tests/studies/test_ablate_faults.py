"""A study that is killed, whose pieces are damaged, or whose machines go away, ends with the tables of one undisturbed.

Minutes, so only where asked for: python -m pytest -m faults -n 0
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from ground.test_kept import DAMAGES
from ray.cluster_utils import Cluster

from zoo_generation.files import MARK

pytestmark = pytest.mark.faults

ZOO = {"architectures": "cnn_s", "learning_rate": [0.001, 0.003], "seeds": 5, "epochs": 1, "train_images": 200}
STUDY: dict[str, Any] = {
    "name": "killed",
    "defaults": ZOO,
    "zoos": {"digits": {"datasets": "digits"}, "glyphs": {"datasets": "glyphs"}},
    "combine": ["alone", "all"],
    "methods": {
        "sane": {"set": {"d_model": 32, "heads": 2, "layers": 1, "latent": 8, "steps": 40}},
        "layer_statistics": {},
        "random_init": {},
    },
    "baselines": False,
    "tasks": {"property_prediction": {}, "generation": {"drawn": 6, "kept": 3, "selection_images": 100}},
    "seeds": 2,
    "comparisons": [{"question": "Both?", "composition": "all", "against": "digits"}],
}
SECONDS = 300


def start(study: Path, home: Path, *options: str) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in {"RAY_ADDRESS", "ZOOBENCH_DATA"}}
    command = [
        sys.executable,
        "-m",
        "zoobench",
        "ablate",
        str(study),
        "--home",
        str(home),
        *(options or ("--workers", "2")),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, start_new_session=True)


def tables(home: Path) -> list[pd.DataFrame]:
    folder = home / "results" / "killed"
    return [pd.read_csv(folder / f"{name}.csv") for name in ("measurements", "summary", "comparisons")]


def pieces(home: Path) -> int:
    return len(list((home / "runs" / "pieces").glob("*/*")))


def test_a_study_killed_twice_ends_with_the_same_tables(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert start(study, undisturbed).wait(SECONDS) == 0
    whole = pieces(undisturbed)
    moments = sorted(random.Random().sample(range(1, whole - 1), 2))
    for moment in moments:
        running = start(study, killed)
        deadline = time.monotonic() + SECONDS
        while pieces(killed) < moment:
            assert running.poll() is None and time.monotonic() < deadline, f"not killed at {moments}"
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)  # the driver and its workers, at once
        running.wait()
        assert not (killed / "results").exists()
    assert start(study, killed).wait(SECONDS) == 0
    for one, other in zip(tables(killed), tables(undisturbed), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_study_whose_pieces_are_damaged_ends_with_the_same_tables(tmp_path: Path) -> None:
    """A file of one piece of each kind, drawn, in a way drawn for it: token set, trained method, cell, zoo."""
    study, home = tmp_path / "study.yaml", tmp_path / "home"
    few = {"architectures": "cnn_s", "learning_rate": [0.001, 0.003], "seeds": 4, "epochs": 1, "train_images": 200}
    zoos, methods = {"digits": {"datasets": "digits"}}, {"pca": {}, "sane": STUDY["methods"]["sane"], "random_init": {}}
    tasks = {"reconstruction": {}, "generation": {"drawn": 3, "kept": 2, "selection_images": 50}}
    changes = {"defaults": few, "zoos": zoos, "methods": methods, "tasks": tasks, "seeds": 1, "combine": "alone"}
    study.write_text(yaml.safe_dump({**STUDY, **changes, "comparisons": []}))
    assert start(study, home).wait(SECONDS) == 0
    whole = tables(home)[:2]
    draw = random.Random(0)
    kinds = ("runs/tokens/*", "runs/pieces/fits/*", "runs/pieces/cells/*", "zoos/*")
    for _ in range(2):
        damaged = {}
        for piece in (min(home.glob(kind)) for kind in kinds):
            files = [file for file in piece.rglob("*") if file.is_file() and file.name not in (".lock", MARK)]
            damaged[draw.choice(sorted(files))] = draw.choice([name for name in DAMAGES if name != "one more"])
        for file, damage in damaged.items():
            DAMAGES[damage](file)
        assert start(study, home).wait(SECONDS) == 0, damaged
        assert all(file.exists() for file in damaged)
        for one, other in zip(tables(home), whole, strict=False):
            pd.testing.assert_frame_equal(one, other)


def test_a_study_outlives_the_machines_that_its_pieces_run_on(tmp_path: Path) -> None:
    """Each machine is killed when something was made on it, while the next piece runs there."""
    study, home, undisturbed = tmp_path / "study.yaml", tmp_path / "home", tmp_path / "undisturbed"
    changes = {"tasks": {"reconstruction": {}}, "seeds": 1, "combine": "alone", "comparisons": []}
    study.write_text(yaml.safe_dump({**STUDY, **changes}))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        node, made = cluster.add_node(num_cpus=1), 0
        assert start(study, undisturbed, "--ray-address", cluster.address).wait(SECONDS) == 0
        shutil.copytree(undisturbed / "zoos", home / "zoos")
        running = start(study, home, "--ray-address", cluster.address)
        for _ in range(3):
            deadline = time.monotonic() + SECONDS
            while pieces(home) == made:
                assert running.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            made, following = pieces(home), cluster.add_node(num_cpus=1)
            cluster.remove_node(node, allow_graceful=False)
            node = following
        assert running.wait(SECONDS) == 0
    finally:
        cluster.shutdown()
    for one, other in zip(tables(home)[:2], tables(undisturbed)[:2], strict=True):
        pd.testing.assert_frame_equal(one, other)
