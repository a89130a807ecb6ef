"""Fresh verification: methods run on rebuilt zoos of a track; scores of others stay recorded."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Run
from safetensors.torch import save_file
from torch import Tensor

import zoobench as zb
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.files import write_json
from zoo_generation.training.cluster import ray_session
from zoobench.api.zoos import load_tokens
from zoobench.cli.app import app
from zoobench.leaderboard import Entry, read_entry, read_track
from zoobench.leaderboard.rebuilding import FIRST, LAST, drawn_seed, method_of
from zoobench.leaderboard.reference import read_references
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import AboutImages, Setting, Task
from zoobench.tasks.forms import ScoreForm
from zoobench.tasks.registry import get_task

ZOO = {"datasets": "digits", "architectures": "cnn_s", "learning_rate": [0.001, 0.003], "seeds": 7, "epochs": 2}
TRACK = {
    "format": "zoobench-track/1",
    "title": "Property",
    "summary": "For tests.",
    "scale": "two-cores",
    "task": "property_prediction",
    "zoos": {"tiny": None},
    "training": ["tiny"],
    "targets": ["tiny"],
    "seeds": 2,
    "metrics": ["r2:test_accuracy", "accuracy:learning_rate"],
    "tolerance": 1e-6,
    "note": "All.",
}
HALVES = ZOO | {"architectures": "mlp", "width": 0.03125, "learning_rate": 0.01, "train_images": 60}
HALVES |= {"subset_fraction": 0.5}
ATTRIBUTION = TRACK | {
    "title": "Attribution",
    "task": "attribution",
    "settings": {"evaluated": "all", "images": 10},
    "zoos": {"halves": None, "others": None},
    "training": ["halves"],
    "targets": ["others"],
    "metrics": ["lds", "ceiling"],
    "access": "labels",
}
WHO = ["--authors", "A. Author", "--licence", "MIT"]
BY: dict[str, Any] = {"authors": ["A. Author"], "licence": "MIT"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two small tracks, their zoos, and what a method handed in to each."""
    home = tmp_path_factory.mktemp("fresh")
    written = {"zoos/tiny/zoo.yaml": ZOO | {"train_images": 300}, "property/track.yaml": TRACK}
    written["zoos/halves/zoo.yaml"] = HALVES | {"subsets": 7, "seeds": 1}
    written["zoos/others/zoo.yaml"] = HALVES | {"subsets": 40, "seeds": 2, "subset_seed": 100}
    for path, fields in (written | {"attribution/track.yaml": ATTRIBUTION}).items():
        (home / "leaderboards" / path).parent.mkdir(parents=True, exist_ok=True)
        (home / "leaderboards" / path).write_text(yaml.safe_dump(fields))
    commands: list[list[Any]] = [["leaderboard", "rebuild", "property", "attribution", "--record"]]
    commands += [["eval", "--model", "pca", "--set", "components=3", "--track", "property"]]
    commands += [["submit", home / "results" / "property" / "pca", *WHO]]
    with ray_session(None, 1):
        for command in commands:
            assert not app([*map(str, command), "--home", str(home)], standalone_mode=False)
    track = read_track(home / "leaderboards", "attribution")
    task, references = get_task("attribution", ATTRIBUTION["settings"]), read_references(home / "leaderboards", track)
    save_file({"others/0": same_class(task, Setting(references["others"]))}, home / track.artefact)
    zb.submit(
        home / track.artefact, workspace=zb.Workspace(home), track="attribution", name="same_class", seeds=[0], **BY
    )
    return home


def same_class(task: Task, setting: Setting) -> Tensor:
    """1 for training images of the class of an asked one."""
    assert isinstance(task, AboutImages)
    labels = task.asked(setting)[1].labels
    return (labels[:, None] == ImageStore().of(setting.target.row, "train").labels).float()


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with a second entry, of a method that is nowhere installed."""
    shutil.copytree(made / "leaderboards", tmp_path / "leaderboards", ignore=shutil.ignore_patterns("attribution"))
    entry = tmp_path / "leaderboards" / "property" / "pca" / "entry.json"
    fields = json.loads(entry.read_text())
    write_json(entry, fields | {"command": "zoobench eval --model pca --set components=3 --track property"})
    return tmp_path


def test_a_method_that_can_be_run_is_measured_on_zoos_that_nobody_has_seen(run: Run, home: Path) -> None:
    place = home / "leaderboards" / "property" / "pca"
    recorded = read_entry(place)
    code, output = run("leaderboard", "verify", "--fresh", "--seed", 77, "--workers", 1, "--home", home)
    assert code == 0 and "property/pca: fresh" in output and "seed 77" in output
    entry = read_entry(place)
    assert entry.fresh is not None and entry.fresh.seed == 77 and entry.scores == recorded.scores
    assert [(score.target, score.metric) for score in entry.fresh.scores] == [
        (score.target, score.metric) for score in recorded.scores
    ]
    assert entry.fresh.scores != recorded.scores
    (zoo,) = (home / "runs" / "fresh" / "zoos").iterdir()
    assert json.loads((zoo / "zoo.json").read_text())["spec"]["seed"] == 77
    kept = {path: path.stat().st_mtime_ns for path in (home / "runs" / "fresh").rglob("*.parquet")}

    write_json(place / "entry.json", recorded.fields())
    code, output = run("leaderboard", "verify", "--fresh", "--seed", 77, "--workers", 1, "--home", home, "--json")
    told = json.JSONDecoder().raw_decode(output)[0]["fresh"]  # standard output comes first
    assert read_entry(place).fresh == entry.fresh and [each["kind"] for each in told] == ["fresh"]
    assert kept == {path: path.stat().st_mtime_ns for path in (home / "runs" / "fresh").rglob("*.parquet")}

    code, output = run("leaderboard", "verify", "--home", home)  # of what is recorded alone: the fresh scores stay
    assert code == 0 and read_entry(place).fresh == entry.fresh
    code, output = run("leaderboard", "show", "property", "--home", home)
    assert "fresh" in output
    code, _ = run("leaderboard", "site", "--out", home / "site", "--home", home)
    assert "seed 77" in (home / "site" / "property" / "pca" / "index.html").read_text()

    proposed = home / "proposed" / "leaderboards"
    shutil.copytree(home / "leaderboards", proposed)
    shutil.move(proposed / "property" / "pca", proposed / "property" / "mine")
    shutil.rmtree(home / "leaderboards" / "property" / "pca")
    fields = entry.fields() | {"name": "mine", "marks": ["the best of all"]}
    write_json(proposed / "property" / "mine" / "entry.json", fields)
    code, output = run("leaderboard", "verify", "--proposed", proposed, "--home", home)
    mine = read_entry(proposed / "property" / "mine")
    assert code == 0 and mine.fresh is None and mine.marks == (), "what a stranger claims of it is nothing"


def test_what_cannot_be_run_or_is_too_late_stays_recorded_and_a_drawn_seed_is_kept_until_all_is_done(
    run: Run, home: Path
) -> None:
    place, seed = home / "leaderboards" / "property" / "pca", home / "runs" / "fresh" / "seed.json"
    at = ("leaderboard", "verify", "--fresh", "--workers", 1, "--home", home)
    before = read_entry(place)
    code, output = run(*at, "--minutes", 0)
    assert code == 0 and "property/pca: recorded (not begun after 0 minutes; the same command goes on)" in output
    first = json.loads(seed.read_text())["seed"]
    assert FIRST <= first < LAST and f"seed {first}" in output and read_entry(place) == before

    write_json(place / "entry.json", before.model_copy(update={"command": "make", "method": "pca of mine"}).fields())
    code, output = run(*at)
    assert code == 0 and f"seed {first}" in output and not seed.exists()
    assert "recorded (no method 'pca of mine' is installed here)" in output
    code, output = run("leaderboard", "verify", "--seed", 3, "--home", home)
    assert code == 2 and "give --fresh too" in output


def test_answers_about_images_are_judged_by_models_that_nobody_has_seen(run: Run, made: Path, tmp_path: Path) -> None:
    """Whoever made them: no method runs, and of the zoos only the one that judges is trained."""
    shutil.copytree(made / "leaderboards", tmp_path / "leaderboards", ignore=shutil.ignore_patterns("property"))
    place = tmp_path / "leaderboards" / "attribution" / "same_class"
    recorded = read_entry(place)
    code, output = run("leaderboard", "verify", "--fresh", "--seed", 500, "--workers", 1, "--home", tmp_path, "--json")
    (told,) = json.JSONDecoder().raw_decode(output)[0]["fresh"]
    entry = read_entry(place)
    assert code == 0 and entry.fresh is not None and told["kind"] == "fresh" and told["reason"] == ""
    assert told["fresh"] == entry.fresh.mean("lds") != recorded.mean("lds")
    (known,) = (score for score in recorded.scores if score.metric == "lds")
    assert known.low is not None and known.high is not None
    assert told["within"] == (known.low <= told["fresh"] <= known.high)

    (built,) = (tmp_path / "runs" / "fresh" / "zoos").iterdir()
    judging = load_tokens(built).populations[0]
    assert set(judging.table["subset_seed"]) == set(range(600, 640)) and judging.table["seed"].min() >= 500
    task, setting = get_task("attribution", ATTRIBUTION["settings"]), Setting(judging)
    form = task.form(setting)
    assert isinstance(form, ScoreForm)
    answer = Scores(same_class(task, setting), form.rows, form.columns)
    observed = task.score(task.judge(answer, setting))
    assert told["fresh"] == pytest.approx(observed["lds"].value(), abs=1e-9)


COMMANDS = {
    "zoobench eval --model pca --set components=3 --track all": ("pca", None, {"components": "3"}),
    "zoobench eval --model=sane --preset=tiny --track all --home '/a b'": ("sane", "tiny", {}),
    "zoobench eval --track all": ("sane", None, {}),
    "zoobench eval --method trak-members_1 --track all": ("trak-members_1", None, {}),
    "": ("anchors", None, {}),
    "make all": ("anchors", None, {}),
}
UNKNOWN = {
    "zoobench eval --model nobodys --track all": "no method 'nobodys' is installed here",
    "zoobench eval --model '; rm -rf ~' --track all": "is installed here",
    "zoobench eval --model pca --set components=0": "0 components",
    "zoobench eval --model sane --preset huge": "huge",
}


def entry_of(made: Path, **fields: str) -> Entry:
    return read_entry(made / "leaderboards" / "property" / "pca").model_copy(update=fields)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_method_and_its_settings_are_read_off_the_command_and_nothing_is_run(made: Path, command: str) -> None:
    name, preset, settings = COMMANDS[command]
    method, config = method_of(entry_of(made, command=command, method="anchors"))
    assert method.name == name and config == method.config(preset, settings)


@pytest.mark.parametrize("command", UNKNOWN)
def test_a_method_that_is_none_is_told(made: Path, command: str) -> None:
    with pytest.raises(InputError, match=re.escape(UNKNOWN[command])):
        method_of(entry_of(made, command=command))


@pytest.mark.parametrize("content", ["", "{", '{"seed": "7"}', '{"seed": -1}', '{"seed": 1e300}'])
def test_a_kept_seed_that_is_none_is_drawn_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "seed.json").write_text(content)
    first = drawn_seed(tmp_path / "seed.json")
    assert FIRST <= first < LAST and drawn_seed(tmp_path / "seed.json") == first
    (tmp_path / "seed.json").unlink()
    assert drawn_seed(tmp_path / "seed.json") != first
