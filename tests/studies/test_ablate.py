"""A study from its file to its report, as a user runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import Run

SANE = {"d_model": 32, "heads": 2, "layers": 1, "latent": 8, "steps": 6}
KEYS = ["composition", "method", "task", "target", "metric", "seed"]


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    """A zoo that is there, and one that has no test models, so that nothing can be predicted of it."""
    path = tmp_path / "study.yaml"
    few = {"datasets": "glyphs", "learning_rate": 0.003, "seeds": 3, "epochs": 1, "train_images": 200}
    content = {
        "name": "tried",
        "zoos": {"digits": {"path": str(built / "zoos" / "digits-cnn_s")}, "few": few},
        "combine": ["alone", "all"],
        "methods": {"sane": {"set": SANE}, "layer_statistics": {}, "random_init": {}},
        "baselines": False,
        "tasks": {
            "property_prediction": {"properties": ["test_accuracy"]},
            "generation": {"drawn": 4, "kept": 2, "selection_images": 50},
        },
        "seeds": 1,
        "comparisons": [{"question": "Does it help?", "composition": "all", "against": "digits"}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def measured(home: Path) -> pd.DataFrame:
    return pd.read_parquet(home / "results" / "tried" / "measurements.parquet").sort_values(KEYS, ignore_index=True)


def test_a_study_reports_resumes_and_keeps_failures_where_they_are(run: Run, study: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, output = run("ablate", study, "--dry-run", "--home", home)
    assert code == 0 and not home.exists()
    for name in ("sane on all ", "generation on few: sane on digits ", "few: 3 models"):
        assert name in output
    assert "seed 0" not in output  # one row for all seeds of a piece
    assert "property_prediction on digits: random_init" not in output  # which embeds nothing

    code, output = run("ablate", study, "--home", home)
    assert code == 1 and "property_prediction on few: sane on all, seed 0" in output
    assert output.count("a probe needs two models") == 1
    table = measured(home)
    of_sane = table[(table["method"] == "sane") & (table["metric"] == "kept_mean")]
    relations = dict(zip(of_sane["composition"] + of_sane["target"], of_sane["relation"], strict=True))
    assert relations["digitsdigits"] == relations["allfew"] == "ID" and relations["digitsfew"] == "OOD dataset"
    assert len(relations) == 6 and set(table["target"][table["task"] == "property_prediction"]) == {"digits"}
    folder = home / "results" / "tried"
    assert "Does it help?" in (folder / "report.html").read_text() and (folder / "report.md").exists()
    standings = pd.read_csv(folder / "standings.csv")
    assert {"sane.all", "sane.digits", "random_init"} <= set(standings["method"][standings["task"] == "generation"])

    kept = sorted((home / "runs" / "pieces" / "cells").iterdir())
    fits = sorted((home / "runs" / "pieces" / "fits").glob("*/fit.json"))
    whole = {path: path.stat().st_mtime_ns for path in (*kept[1:], *fits)}
    shutil.rmtree(kept[0])
    code, output = run("ablate", study, "--home", home)
    assert code == 1 and all(path.stat().st_mtime_ns == when for path, when in whole.items())
    pd.testing.assert_frame_equal(measured(home), table)


def test_effects_keep_budgets_apart_and_have_what_learns_nothing_once(run: Run, study: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.read_text()) | {
        "combine": [],
        "compositions": {"one": {"zoos": "digits", "models": 4}, "two": {"zoos": ["digits", "few"], "models": 4}},
        "budgets": {"short": {"steps": 2}, "long": {"steps": 4}},
        "targets": "digits",
        "methods": {"sane": {"set": SANE}, "anchors": {}},
        "tasks": {"zero_shot": {"epochs": [0, 1], "models": 1, "generation": {"drawn": 2, "selection_images": 50}}},
        "seeds": 2,
        "comparisons": [],
    }
    content["methods"]["sane"]["set"] = {name: value for name, value in SANE.items() if name != "steps"}
    study.write_text(yaml.safe_dump(content))
    code, output = run("ablate", study, "--home", tmp_path / "home")
    assert code == 0, output
    folder = tmp_path / "home" / "results" / "tried"
    table = measured(tmp_path / "home")
    after = table[(table["metric"] == "after_1") & (table["target"] == "digits")]
    after = after.groupby(["method", "composition"])["value"].mean()
    effects = pd.read_csv(folder / "effects.csv", keep_default_na=False).set_index(["method", "budget"])
    assert sorted(effects.index) == [("anchors", ""), ("sane", "long"), ("sane", "short")]
    assert set(effects["factor"]) == {"each further dataset, as many models in all"} and set(effects["relation"]) == {
        "ID"
    }
    for method, budget, under in (("sane", "short", "short"), ("sane", "long", "long"), ("anchors", "", "short")):
        difference = after[method, f"two, {under}"] - after[method, f"one, {under}"]
        assert float(effects.loc[(method, budget), "effect"]) == pytest.approx(difference, abs=1e-6)
    curves = pd.read_csv(folder / "curves.csv", keep_default_na=False)
    assert set(curves["budget"][curves["method"] == "anchors"]) == {""} and set(curves["x"]) == {1, 2}


def test_a_study_that_cannot_be_is_told_in_one_sentence(run: Run, study: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.read_text())
    content["compositions"] = {"many": {"zoos": "digits", "models": 500}}
    study.write_text(yaml.safe_dump(content))
    for command in (["ablate", study], ["ablate", study, "--dry-run"], ["ablate", tmp_path / "none.yaml"]):
        code, output = run(*command, "--home", tmp_path / "home")
        error = output[output.index("Error:") :].strip()
        assert code == 2 and "\n" not in error and "Traceback" not in output
    assert not (tmp_path / "home" / "zoos").exists()
