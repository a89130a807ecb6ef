"""The phase zoos as they are published: what was measured of their landscape comes in with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from zoo.test_import import EPOCHS, take, write_trial

LAST = {
    "log_hessian_top_ev": math.log(8.0),
    "log_hessian_top_ev_val": 99.0,
    "log_hessian_trace": 99.0,
    "log_hessian_trace_train": math.log(400.0),
    "curve_mc_train_error": -12.5,
    "curve_mc_test_error": 99.0,
    "representation_similarity": 0.875,
    "representation_similarity_pairs": [0.8, 0.95],
    "wiseft_acc_test": 0.5,
    "wiseft_acc_test_delta": 0.0625,
    "gitrebasin_acc_test": 0.25,
    "gitrebasin_acc_test_delta": -0.25,
}
TAKEN = {
    "hessian_top_eigenvalue": 8.0,
    "hessian_trace": 400.0,
    "mode_connectivity": -12.5,
    "cka_logits": 0.875,
    "late_average_gain": 0.0625,
    "matched_average_gain": -0.25,
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Models whose results do not say their epoch: line i is epoch i; the last line holds the landscape."""
    for seed in range(2):
        trial = write_trial(tmp_path / "models" / f"trial{seed}", seed, told=False, prefix="module.")
        rows = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
        rows[EPOCHS[-1]] |= LAST | ({"log_hessian_trace_train": "nan"} if seed else {})
        (trial / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "models"


def test_published_metrics_are_imported(published: Path, tmp_path: Path) -> None:
    imported, zoo = take(published, tmp_path / "zoo")
    assert imported.faults == () and (imported.models, imported.checkpoints) == (2, 6)
    table = zoo.checkpoints
    found = table.dropna(subset="cell")
    assert found["epoch"].tolist() == [4, 4] and found["cell"].nunique() == 1
    first = found[found["seed"] == 0].iloc[0]
    assert {name: first[name] for name in TAKEN} == pytest.approx(TAKEN)
    assert found[found["seed"] == 1]["hessian_trace"].iloc[0] == pytest.approx(math.exp(99))
    assert found["cka"].isna().all()  # published of logits alone
    assert set(found["phase"]) == {"I" if found["train_loss"].median() > 0.05 else "III"}
    assert table[table["epoch"] < 4][list(TAKEN)].isna().all(axis=None)


def test_zoos_without_them_have_no_landscape(tmp_path: Path) -> None:
    write_trial(tmp_path / "models" / "trial0", 0)
    _, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert not (zoo.path / "landscape").exists() and "cell" not in pd.DataFrame(zoo.checkpoints)
