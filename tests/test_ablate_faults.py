"""A study that is killed goes on where it was, and ends with the tables of one that was not.

Minutes, so only where asked for: python -m pytest -m faults
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.faults

ZOO = {"architectures": "cnn_s", "learning_rate": [0.001, 0.003], "seeds": 5, "epochs": 1, "train_images": 200}
STUDY = {
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


def start(study: Path, home: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in {"RAY_ADDRESS", "ZOOBENCH_DATA"}}
    command = [sys.executable, "-m", "zoobench", "ablate", str(study), "--home", str(home), "--workers", "2"]
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
