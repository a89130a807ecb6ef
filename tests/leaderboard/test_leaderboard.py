"""From a method outside of the repository to its place on a leaderboard, by the commands of docs/your-method.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from conftest import Run
from helpers.submitting import fingerprint
from safetensors.torch import load_file, save_file

from zoo_generation.training.cluster import ray_session
from zoobench.cli.app import app
from zoobench.leaderboard import read_entry, read_tracks
from zoobench.methods.registry import get_method
from zoobench.populations import TokenSet

ROOT = Path(__file__).parents[2]
ZOO = {"datasets": "digits", "architectures": "cnn_s", "learning_rate": [0.001, 0.003], "seeds": 7, "epochs": 2}
COMMON = {"format": "zoobench-track/1", "scale": "two-cores", "seeds": 2}
TEXTS = {"summary": "For tests.", "note": "All."}
WHO = ["--authors", "A. Author, B. Author", "--licence", "MIT"]
TRACKS = {
    "property": {
        "task": "property_prediction",
        "metrics": ["r2:test_accuracy", "accuracy:learning_rate"],
        "tolerance": 1e-6,
    },
    "generation": {
        "task": "generation",
        "settings": {"drawn": 4, "kept": 2, "selection_images": 50},
        "metrics": ["kept_mean"],
        "tolerance": 0.005,
        "access": "labels",
    },
    "fine": {
        "task": "fine_tuning",
        "settings": {"epochs": [1], "models": 1, "generation": {"drawn": 2, "kept": 1}},
        "metrics": ["after_1"],
        "tolerance": 0.05,
    },
    "reconstruction": {"task": "reconstruction", "metrics": ["kept"], "tolerance": 0.005},
}


def run_all(home: Path, *commands: Sequence[object]) -> None:
    """Run commands, which must succeed, one after another in one Ray."""
    with ray_session(None, 1):
        for command in commands:
            assert not app([*map(str, command), "--home", str(home)], standalone_mode=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with small tracks, and their zoo, which was built and recorded."""
    home = tmp_path_factory.mktemp("recorded")
    zoo = home / "leaderboards" / "zoos" / "tiny" / "zoo.yaml"
    zoo.parent.mkdir(parents=True)
    zoo.write_text(yaml.safe_dump(ZOO | {"train_images": 300}))
    for name, fields in TRACKS.items():
        (home / "leaderboards" / name).mkdir()
        of = TEXTS | {"title": name, "zoos": {"tiny": None}, "training": ["tiny"], "targets": ["tiny"]}
        (home / "leaderboards" / name / "track.yaml").write_text(yaml.safe_dump(COMMON | of | fields))
    run_all(home, ["leaderboard", "rebuild", "all", "--record"])
    return home


@pytest.fixture(scope="module")
def filled(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with entries."""
    home = tmp_path_factory.mktemp("filled")
    shutil.copytree(recorded, home, dirs_exist_ok=True)
    ran = [("pca", "property"), ("pca", "reconstruction"), ("anchors", "fine"), ("anchors", "generation")]
    ran.append(("weight_density", "generation"))
    run_all(home, *(["eval", "--model", method, "--track", track] for method, track in ran))
    run_all(home, *(["submit", home / "results" / track / method, *WHO] for method, track in ran))
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    """A home of a test's own, with the zoo and no entries."""
    shutil.copytree(recorded, tmp_path / "home")
    return tmp_path / "home"


def test_a_zoo_is_rebuilt_to_the_bit(run: Run, recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "leaderboards", tmp_path / "leaderboards")
    code, output = run("leaderboard", "rebuild", "property", "--home", tmp_path)
    assert code == 0 and "yes, to the bit" in output
    path = tmp_path / "leaderboards" / "property" / "track.yaml"
    fields = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(fields | {"zoos": {"tiny": "0" * 64}}))
    code, output = run("leaderboard", "rebuild", "property", "--home", tmp_path)
    assert code == 1 and "other roundings; test accuracies differ by 0.0000 at most" in " ".join(output.split())
    shutil.rmtree(tmp_path / "leaderboards" / "zoos" / "tiny" / "reference")
    code, output = run("eval", "--model", "pca", "--track", "property", "--home", tmp_path)
    assert code == 2 and "nobody has recorded its zoo tiny" in output


def test_entries_are_verified_and_compared(run: Run, filled: Path) -> None:
    at = ("--home", filled)
    code, output = run("leaderboard", "verify", *at)
    assert code == 0 and "5 verified" in output
    code, output = run("leaderboard", "diff", "weight_density", "anchors", "--json", *at)
    (found,) = json.loads(output)
    assert found["track"] == "generation" and found["difference"] == found["first"] - found["second"]
    code, output = run("leaderboard", "diff", "pca", "ancors", *at)
    assert code == 2 and "did you mean 'anchors'?" in output
    code, output = run("leaderboard", "diff", "weight_density", "anchors", *at)
    assert code == 0 and "generation: kept_mean of weight_density (A) and anchors (B)" in " ".join(output.split())
    entry = read_entry(filled / "leaderboards" / "generation" / "anchors")
    assert (entry.access, entry.runs_models, entry.fit_core_seconds) == ("weights", False, 0.0)
    code, output = run("leaderboard", "show", "generation", *at)
    told = ["anchors", "weights", "no", "0.00", f"{entry.asked_core_seconds:.2f}", "–"]
    assert code == 0 and told in [line.split() for line in output.split("\n")]
    code, output = run("leaderboard", "list", *at)
    assert code == 0 and "reconstruction" in output and "pca" in output
    code, output = run("leaderboard", "show", "generation", "--metric", "kept", *at)
    assert code == 2 and "unknown metric of these tracks 'kept'" in output
    code, output = run("leaderboard", "show", "--metric", "kept_mean", *at)
    assert code == 0 and "generation: kept_mean" in output and "property" not in output


def test_a_damaged_entry_is_alone_in_it(run: Run, filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled / "leaderboards", tmp_path / "leaderboards")
    with (tmp_path / "leaderboards" / "generation" / "anchors" / "entry.json").open("a") as entry:
        entry.write("}")
    code, output = run("leaderboard", "verify", "generation", "--home", tmp_path)
    assert code == 2 and "1 refused, 1 verified" in output
    code, output = run("leaderboard", "show", "generation", "--home", tmp_path)
    assert code == 0 and "Left out: " in output and "weight_density" in output
    code, output = run("leaderboard", "site", "--out", tmp_path / "site", "--home", tmp_path)
    assert code == 0 and (tmp_path / "site" / "generation" / "weight_density" / "index.html").exists()


def test_a_pull_request_is_verified_by_the_tracks_that_are_here(run: Run, filled: Path, tmp_path: Path) -> None:
    proposed = tmp_path / "leaderboards"
    shutil.copytree(filled / "leaderboards", proposed)
    at = ("leaderboard", "verify", "--proposed", proposed, "--home", filled)
    code, output = run(*at)
    assert code == 0 and "There is nothing to verify" in output

    shutil.copytree(proposed / "property" / "pca", proposed / "property" / "another")
    entry = json.loads((proposed / "generation" / "weight_density" / "entry.json").read_text())
    entry["scores"][0]["mean"] = entry["scores"][0]["values"][0] = 0.99
    (proposed / "generation" / "weight_density" / "entry.json").write_text(json.dumps(entry))
    track = proposed / "generation" / "track.yaml"
    track.write_text(track.read_text().replace("tolerance: 0.005", "tolerance: 1"))
    shutil.rmtree(proposed / "generation" / "anchors")
    (proposed / "property" / "track.json").symlink_to("/etc/passwd")
    before = fingerprint(filled / "leaderboards")
    code, output = run(*at)
    assert code == 2 and "2 refused" in output and fingerprint(filled / "leaderboards") == before
    assert "the entry is named 'pca', and lies in the folder 'another'" in output
    assert "the entry claims 0.99 as mean of kept_mean" in output  # whatever tolerance the pull request wants
    assert "Refused: property/track.json is new or changed: a link leads elsewhere; remove it" in output
    others = [line for line in output.splitlines() if line.startswith("For a person to look at")]
    assert [line.split(": ")[1] for line in others] == [
        "generation/anchors/entry.json is removed",
        "generation/anchors/weights.safetensors is removed",
        "generation/track.yaml is new or changed",
        "generation/weight_density takes the place of an entry",
    ]


def test_any_framework_takes_part_by_files(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads what `leaderboard data` wrote, and nothing else of zoobench."""
    monkeypatch.chdir(home)
    code, output = run("leaderboard", "data", "property", "--out", tmp_path / "property")
    assert code == 0
    asked = pd.read_parquet(tmp_path / "property" / "asked.parquet")
    table = pd.read_parquet(tmp_path / "property" / "training" / "tiny.parquet")
    assert set(table["split"]) == {"train", "val"} and set(asked) == {"target", "checkpoint", "property", "kind"}
    predicted = asked.drop(columns="kind").assign(seed=0, predicted=0.5, predicted_class=None)
    predicted.loc[asked["kind"] == "class", ["predicted", "predicted_class"]] = [None, "0.001"]
    typed = predicted.astype({"predicted": float, "predicted_class": object})
    typed.to_parquet(tmp_path / "predictions.parquet", index=False)
    options = ["--track", "property", "--name", "constant", "--seeds", "0", *WHO]
    code, output = run("submit", tmp_path / "predictions.parquet", *options, "--check")
    assert code == 0, output

    code, _ = run("leaderboard", "data", "reconstruction", "--out", tmp_path / "reconstruction")
    weights = load_file(tmp_path / "reconstruction" / "test" / "tiny.safetensors")["weights"]
    save_file({"tiny/0": weights}, tmp_path / "weights.safetensors")
    options = ["--track", "reconstruction", "--name", "identity", "--seeds", "0", *WHO]
    code, output = run("submit", tmp_path / "weights.safetensors", *options, "--check")
    assert code == 0 and "1.000" in output

    code, _ = run("leaderboard", "data", "generation", "--out", tmp_path / "generation")
    assert set(load_file(tmp_path / "generation" / "images" / "tiny.safetensors")) == {
        f"{split}_{what}" for split in ("train", "val") for what in ("images", "labels")
    }
    anchors = TokenSet.read(tmp_path / "generation" / "anchors").populations[0]
    assert set(anchors.table["split"]) == {"train"}
    save_file({f"tiny/{seed}": torch.zeros(2, 2464) for seed in (0, 1)}, tmp_path / "weights.safetensors")
    options = ["--track", "generation", "--name", "zeros", *WHO]
    code, output = run("submit", tmp_path / "weights.safetensors", *options, "--check")
    assert code == 0, output


def test_the_tracks_of_the_repository_hold_together(tmp_path: Path) -> None:
    leaderboards = ROOT / "leaderboards"
    tracks = read_tracks(leaderboards)
    assert {track.task for track in tracks} == {track.task for track in tracks if track.scale == "paper"}
    for track in tracks:
        method = next(
            each
            for each in map(
                get_method, ("sane", "average", "kl", "residual_value", "same_class", "lira", "cka", "imitation")
            )
            if track.allows(each)
        )
        plan = track.plan(leaderboards, tmp_path, method, method.config(None))
        assert len(plan.cells) == len(track.targets) * (track.seeds if method.random else 1)
        assert {each.name for each in plan.origins} == {*track.zoos}
        assert getattr(track.get_task(), "properties", track.properties) == track.properties  # and no others
        assert track.scale == "paper" or all(track.zoos.values())
        for metric in track.metrics:
            assert metric.partition(":")[0] in ("r2", "tau", "accuracy") or track.holds != "predictions"


@pytest.mark.faults
def test_a_method_of_another_package_runs_submits_and_is_ranked(
    run: Run, template: None, own_ray: None, home: Path, tmp_path: Path
) -> None:
    at = ("--home", home)
    code, output = run("eval", "--model", "my_forest", "--workers", "1", "--track", "property,generation", *at)
    assert code == 0, output
    assert "my_forest ←" in output and "my_forest does not do what the track generation asks for" in output
    result, board = home / "results" / "property" / "my_forest", home / "leaderboards"
    before = fingerprint(board)

    code, output = run("submit", result, "--check", *at)
    assert code == 2 and "give --authors" in output and "give --licence" in output
    code, output = run("submit", result, *WHO, "--check", *at)
    assert code == 0 and "Nothing is wrong with it" in output
    code, output = run("submit", result, *WHO, "--out", tmp_path / "mine.zip", *at)
    assert code == 0 and fingerprint(board) == before

    code, output = run("submit", tmp_path / "mine.zip", *at)
    entry = read_entry(board / "property" / "my_forest")
    assert code == 0 and entry.authors == ("A. Author", "B. Author") and entry.seeds == (0, 1)
    after = fingerprint(board)
    code, output = run("submit", result, *WHO, "--name", "copy", *at)
    assert code == 2 and "it has the same content as the entry 'my_forest'" in output
    code, output = run("submit", result, *WHO, *at)
    assert code == 2 and "--replace" in output and fingerprint(board) == after
    code, output = run("submit", result, *WHO, "--replace", "--description", "A forest.", *at)
    assert code == 0 and read_entry(board / "property" / "my_forest").description == "A forest."

    code, output = run("leaderboard", "verify", *at)
    assert code == 0 and "1 verified" in output
    code, output = run("leaderboard", "show", "property", "--json", *at)
    assert [row["name"] for row in json.loads(output)] == ["my_forest"]
    handed_in = pd.read_parquet(result / "predictions.parquet")
    assert not {"model", "epoch", "truth"} & set(handed_in.columns)  # nothing that tells of what is asked
