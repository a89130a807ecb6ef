"""The rule of the phases draws the lines of the papers on the metrics that these published."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import shared

from zoobench.zoo.landscape.phases import PHASES, PhaseRule

COUNTS = {"I": 42, "II": 25, "III": 29, "IV-A": 47, "IV-B": 26}
ACCURACIES = {"I": 74.0, "II": 81.1, "III": 80.0, "IV-A": 85.2, "IV-B": 88.3}
SIGNS = {"cka": 0.94, "cka_logits": 0.95, "mode_connectivity": 0.76, "ln_trace": -0.79, "ln_top_eigenvalue": -0.74}


def taxonomy() -> pd.DataFrame:
    """The grid of arXiv 2107.11228."""
    table = pd.read_csv(shared("reference/phases") / "taxonomy_lr_decay.csv")
    return table.rename(columns={"cka_softmax_mixup": "cka"})


def slice_of(file: str, data: int) -> pd.DataFrame:
    """A grid of MD tree at that many tenths of the data."""
    table = pd.read_csv(shared("reference/phases") / f"{file}.csv")
    names = {"CKA": "cka", "test_acc": "test_accuracy"}
    return table[table["data"] == data].rename(columns=names).reset_index(drop=True)


def means(grid: pd.DataFrame) -> pd.Series:
    return grid.groupby(PhaseRule().phases(grid))["test_accuracy"].mean()


def test_the_published_grid_has_the_published_phases() -> None:
    grid = taxonomy()
    phases = pd.Series(PhaseRule().phases(grid))
    assert phases.value_counts().to_dict() == COUNTS
    assert means(grid).to_dict() == pytest.approx(ACCURACIES, abs=0.6)
    cells = {(16, 2): "I", (16, 128): "II", (1024, 8): "III", (1024, 4): "III", (64, 128): "IV-B", (1024, 128): "IV-A"}
    found = pd.Series(list(phases), index=pd.MultiIndex.from_frame(grid[["batch_size", "width"]]))
    assert {cell: found[cell] for cell in cells} == cells


def test_metrics_rank_trained_cells_as_published() -> None:
    trained = taxonomy().query("train_loss <= 0.05")
    assert len(trained) == 102
    for metric, sign in SIGNS.items():
        assert trained[metric].corr(trained["test_accuracy"], method="spearman") == pytest.approx(sign, abs=0.01)


@pytest.mark.parametrize(("file", "data"), [("normal", 10), ("normal", 2), ("noise", 10), ("noise", 2)])
def test_phases_have_the_same_order_elsewhere(file: str, data: int) -> None:
    """Where data are few or noisy, a trained cell whose models are not connected is worse than one not trained."""
    found = means(slice_of(file, data))
    assert found["IV-A"] > max(found["II"], found["III"]) > found["I"]
    assert found.get("IV-B", 100) > found["IV-A"]
    if data == 2:
        assert found["III"] < found["II"]


def test_a_threshold_moves_its_own_border_alone() -> None:
    grid = pd.DataFrame(
        {
            "train_loss": [0.06, 0.06, 0.0, 0.0, 0.0],
            "mode_connectivity": [-9, 0, -9, 0, 0.0],
            "cka": [0.8, 0.8, 0.8, 0.6, 0.8],
        }
    )
    assert PhaseRule().phases(grid) == list(PHASES)
    assert PhaseRule(loss=0.1).phases(grid) == ["III", "IV-B", "III", "IV-A", "IV-B"]
    assert PhaseRule(connectivity=-10).phases(grid) == ["II", "II", "IV-B", "IV-A", "IV-B"]
    assert PhaseRule(likeness=0.5).phases(grid) == ["I", "II", "III", "IV-B", "IV-B"]


def test_what_is_not_measured_has_no_phase_unless_it_does_not_matter() -> None:
    grid = pd.DataFrame({"train_loss": [1.0, 0, 0, None], "mode_connectivity": [-9, -9, 0, 0.0], "cka": [None] * 4})
    assert PhaseRule().phases(grid.astype(float)) == ["I", "III", None, None]
