"""What the shell can do, in Python: the same files and tables, to the bit; and wrong arguments, in a sentence each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from conftest import Run
from helpers.submitting import Board

import zoobench as zb

SANE: dict[str, Any] = {"d_model": 32, "heads": 2, "layers": 1, "latent": 8, "steps": 4}
SET = ",".join(f"{name}={value}" for name, value in SANE.items())
BUILT: dict[str, Any] = {"datasets": "digits", "learning_rate": 0.001, "seeds": 7, "epochs": 2, "train_images": 300}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As a worker has: with several, the order in which PyTorch sums depends on how much there is to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def zoo(built: Path) -> zb.Zoo:
    return zb.load_zoo(workspace=zb.Workspace(built))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zb.Workspace]:
    """A workspace of its own, with one Ray for all that is done there."""
    workspace = zb.Workspace(tmp_path_factory.mktemp("face"), workers=1, device="cpu")
    with workspace.ray():
        yield workspace


@pytest.fixture(scope="module")
def found(zoo: zb.Zoo, home: zb.Workspace) -> zb.Results:
    """SANE beside PCA, by a task's name and a task of one's own settings."""
    tasks = ["property_prediction", zb.get_task("generation", drawn=4, kept=2, selection_images=50)]
    methods = {"sane": SANE, zb.get_method("weight_density"): None, "pca": "default"}
    return zb.evaluate(methods, zoo, tasks=tasks, baselines=False, seeds=1, workspace=home)


@pytest.fixture(scope="module")
def fitted(zoo: zb.Zoo, home: zb.Workspace, found: zb.Results) -> zb.Fitted:
    """The fit of `evaluate`."""
    return zb.fit("sane", zoo, workspace=home, **SANE)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def answered(run: Run, *arguments: object) -> Any:
    """What a command prints as JSON."""
    code, output = run(*arguments, "--json")
    assert code == 0, output
    return json.loads(output)


def test_a_zoo_is_built_as_the_shell_builds_it(zoo: zb.Zoo, home: zb.Workspace) -> None:
    made = zb.build_zoo(name="mine", workspace=home, **BUILT)
    assert made.path == home.zoos / "mine" and zb.load_zoo(workspace=home).name == "mine"
    same = zoo.checkpoints[zoo.checkpoints["model_id"].isin(made.models["model_id"])]
    assert len(made.models) == 7 and list(same["model_id"]) == list(made.checkpoints["model_id"])
    assert torch.equal(zoo.weights(same)[0], made.weights(made.checkpoints)[0])


def test_zoos_are_inspected_validated_exported_and_imported(run: Run, zoo: zb.Zoo, tmp_path: Path) -> None:
    report = zb.inspect_zoo(zoo)
    said = answered(run, "zoo", "inspect", zoo.path, "--home", tmp_path)
    assert report.table["trained"].tolist() == [14] and said["populations"][0]["models"] == report.populations[0].models
    checked = zb.validate_zoo(zoo.path, recompute=2)
    assert checked.valid and len(checked.recomputed) == 2 * 2 and all(each.agrees for each in checked.recomputed)
    assert checked.record() == answered(run, "zoo", "validate", zoo.path, "--recompute", 2, "--home", tmp_path)
    out = zb.export_zoo(zoo, "safetensors", tmp_path / "python")
    assert run("zoo", "export", zoo.path, "--to", "safetensors", "--out", tmp_path / "shell")[0] == 0
    assert set(files(out)) == set(files(tmp_path / "shell"))
    taken = zb.import_zoo(out, name="back", workspace=zb.Workspace(tmp_path))
    assert not taken.faults and taken.zoo.path == tmp_path / "zoos" / "back"
    assert sorted(taken.zoo.digests(taken.zoo.checkpoints)) == sorted(zoo.digests(zoo.checkpoints))


def test_tokens_are_those_of_the_shell(run: Run, zoo: zb.Zoo, tmp_path: Path) -> None:
    made = zb.save_tokens(zoo, tmp_path / "python", dtype="bfloat16")
    assert run("tokens", "build", "--zoo", zoo.path, "--dtype", "bfloat16", "--out", tmp_path / "shell")[0] == 0
    names = (path.name for path in (tmp_path / "python").glob("*.parquet"))
    for name in names:
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "shell" / name).read_bytes()
    assert zb.validate_tokens(tmp_path / "python") == [] and len(zb.validate_tokens(tmp_path / "none")) == 1
    there, exact = zb.load_tokens(tmp_path / "python"), zb.load_tokens(zoo)
    assert there.counts.equals(made.counts) and there.counts.equals(exact.counts)
    (kept,), (given,) = there.populations, exact.populations
    assert torch.equal(kept.weights, given.weights.bfloat16().float())


def test_a_fit_is_that_of_the_shell_and_evaluate_keeps_it_for_all(
    run: Run, zoo: zb.Zoo, home: zb.Workspace, fitted: zb.Fitted, tmp_path: Path
) -> None:
    fits = sorted((home.runs / "pieces" / "fits").iterdir())
    out = tmp_path / "shell"
    command = ["train", "--set", SET, "--zoo", zoo.path, "--out", out, "--device", "cpu", "--home", tmp_path]
    assert answered(run, *command)["digest"] == fitted.digest
    saved = zb.fit("sane", zoo, out=tmp_path / "python", workspace=home, **SANE)
    read = zb.load_method(tmp_path / "python")
    assert saved.digest == read.digest == fitted.digest and read.config == fitted.config
    assert len(saved.losses) and read.losses.equals(saved.losses)
    tokens = zb.save_tokens(zoo, tmp_path / "tokens")
    of_tokens = [zb.fit("sane", on, workspace=home, **SANE) for on in (tokens, tmp_path / "tokens")]
    assert [each.save(tmp_path / str(n)).digest for n, each in enumerate(of_tokens)] == [fitted.digest] * 2
    assert fits and sorted((home.runs / "pieces" / "fits").iterdir()) == fits


def test_embeddings_are_those_of_the_shell(
    run: Run, zoo: zb.Zoo, home: zb.Workspace, fitted: zb.Fitted, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "sane")
    command = ["embed", zoo.path, "--from", tmp_path / "sane", "--out", tmp_path / "shell", "--layers"]
    assert run(*command, "--home", tmp_path)[0] == 0
    (made,) = zb.save_embeddings(fitted, zoo, tmp_path / "python", layers=True, workspace=home)
    name = f"{made.name}.parquet"
    assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "shell" / name).read_bytes()
    table = zb.embed(fitted, zoo, layers=True)
    pd.testing.assert_frame_equal(table.drop(columns="population"), pd.read_parquet(tmp_path / "shell" / name))
    of_each = zb.embed(fitted, zb.load_tokens(zoo).populations[0])
    assert len(of_each) == 28 and list(of_each) == ["population", "model_id", "epoch", "embedding"]


def test_generated_models_are_those_of_the_shell(
    run: Run, zoo: zb.Zoo, home: zb.Workspace, fitted: zb.Fitted, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "sane")
    command = ["generate", "--from", tmp_path / "sane", "--zoo", zoo.path, "--drawn", 4, "--kept", 2, "--device", "cpu"]
    assert run(*command, "--home", tmp_path)[0] == 0
    made = zb.generate(fitted, zoo, drawn=4, kept=2, workspace=home)
    assert made.path == (home.home / "generated" / "digits-cnn_s-sane").absolute()
    shell = zb.load_zoo(tmp_path / "generated" / "digits-cnn_s-sane")
    for one in (shell, made.zoo):
        assert sorted(one.digests(one.checkpoints)) == sorted(shell.digests(shell.checkpoints))
    (weights,) = made.weights.values()
    assert len(weights) == len(made.accuracies) == 2
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "accuracies.png").stat().st_size > 1000


def test_methods_are_measured_beside_one_that_fails(zoo: zb.Zoo, home: zb.Workspace, found: zb.Results) -> None:
    assert not found.failures and set(found.standings()["method"]) == {"sane", "weight_density", "pca"}

    class Broken(zb.Unlearned):
        def embed(self, population: zb.Population) -> torch.Tensor:
            raise RuntimeError("as it was asked to")

    broken = zb.Method("broken", Broken, random=False, learns=False)
    again = zb.evaluate([broken, "pca"], [zoo], tasks="property_prediction", baselines=False, seeds=[0], workspace=home)
    assert set(again.standings()["method"]) == {"pca"} and "as it was asked to" in "".join(again.failures.values())
    of_pca = found.measurements["method"] == "pca"
    both = [table.reset_index(drop=True) for table in (found.measurements[of_pca], again.measurements)]
    pd.testing.assert_frame_equal(*both)


def test_a_study_is_that_of_the_shell(run: Run, zoo: zb.Zoo, home: zb.Workspace, tmp_path: Path) -> None:
    fields = {
        "name": "mine",
        "zoos": {"mine": {"path": str(zoo.path)}},
        "combine": ["alone"],
        "methods": {"pca": {}},
        "baselines": False,
        "tasks": {"property_prediction": {}},
        "seeds": 2,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(fields))
    plan = zb.plan_study(tmp_path / "mine.yaml", workspace=home)
    assert len(plan.fits) == 1 and len(plan.cost()) and len(zb.plan_study(zb.Study(**fields)).cells) == len(plan.cells)
    studied = zb.run_study(tmp_path / "mine.yaml", workspace=home)
    studied.save(tmp_path / "python")
    assert run("ablate", tmp_path / "mine.yaml", "--home", home.home, "--workers", 1, "--device", "cpu")[0] == 0
    for name in ("standings.csv", "measurements.parquet"):
        shell = next((home.results / "mine").rglob(name))
        assert next((tmp_path / "python").rglob(name)).read_bytes() == shell.read_bytes()


def test_submissions_are_judged_ranked_and_verified(board: Board, tmp_path: Path) -> None:
    shutil.copytree(board.path, tmp_path / "home" / "leaderboards")
    home = zb.Workspace(tmp_path / "home", workers=1, device="cpu")
    assert set(zb.list_tracks(workspace=home)) == {"property", "generation"}
    entry = zb.submit(board.honest / "property", name="mine", workspace=home)
    assert "property/mine" in repr(entry) and "r2:test_accuracy" in entry._repr_html_()
    table = zb.load_leaderboard("property", workspace=home)
    assert set(table["entry"]) == {"mine", "earlier"} and table["rank"].min() == 1
    assert [each.verdict for each in zb.verify(["property"], workspace=home)] == ["verified", "verified"]


def test_what_comes_back_is_a_line_in_a_shell_and_a_table_in_a_notebook(
    zoo: zb.Zoo, found: zb.Results, fitted: zb.Fitted, tmp_path: Path
) -> None:
    tokens = zb.load_tokens(zoo)
    shown = [zoo, tokens, tokens.populations[0], zb.inspect_zoo(zoo), zb.validate_zoo(zoo), fitted, found, found.plan]
    for each in [*shown, fitted.method]:
        line = repr(each)
        assert type(each).__name__ in line and len(line) < 300 and "\n" not in line, line
    for each in (zoo, tokens, zb.inspect_zoo(zoo), zb.validate_zoo(zoo), found):
        assert "<table" in each._repr_html_()
    found.save(tmp_path / "saved")
    assert {"scores.png", "standings.csv", "summary.csv"} <= set(files(tmp_path / "saved"))
    for figure in (found.figure(), zb.inspect_zoo(zoo).figure()):
        figure.savefig(tmp_path / "figure.png")
        assert len(figure.axes) and (tmp_path / "figure.png").stat().st_size > 1000


NONE = "nowhere/zoo"
WRONG: list[tuple[str, Callable[[Any, Any], object]]] = [
    ("unknown method 'sone': did you mean 'sane'", lambda zoo, fitted: zb.fit("sone", zoo)),
    ("a method is a name or a Method, and 3 was given", lambda zoo, fitted: zb.fit(3, zoo)),
    ("unknown preset of sane 'tinny': did you mean 'tiny'", lambda zoo, fitted: zb.fit("sane", zoo, preset="tinny")),
    ("'stepz'", lambda zoo, fitted: zb.fit("sane", zoo, stepz=3)),
    ("is not a zoo", lambda zoo, fitted: zb.fit("pca", NONE)),
    ("is not a zoo", lambda zoo, fitted: zb.inspect_zoo(NONE)),
    ("a zoo is a Zoo, a folder or a URL", lambda zoo, fitted: zb.evaluate("pca", 3)),
    ("no zoo was given", lambda zoo, fitted: zb.evaluate("pca", [])),
    ("'generatoin': did you mean 'generation'", lambda zoo, f: zb.evaluate("pca", zoo, tasks="generatoin")),
    ("a task is a name or a Task, and 3 was given", lambda zoo, fitted: zb.evaluate("pca", zoo, tasks=[3])),
    ("seeds are how many, at least 1", lambda zoo, fitted: zb.evaluate("pca", zoo, seeds=0)),
    ("seeds are how many, at least 1", lambda zoo, fitted: zb.evaluate("pca", zoo, seeds="3")),
    ("unknown status to keep 'traned'", lambda zoo, fitted: zb.load_tokens(zoo, statuses="traned")),
    ("unknown dataset 'digist': did you mean 'digits'", lambda zoo, fitted: zb.build_zoo(datasets=["digist"])),
    ("a fitted method is what fit and load_method return", lambda zoo, fitted: zb.embed("sane", zoo)),
    ("a fitted method is what fit and load_method return", lambda zoo, fitted: zb.generate("sane", zoo)),
    ("there is no folder nowhere", lambda zoo, fitted: zb.load_method("nowhere")),
    ("unknown dataset 'digist'", lambda zoo, f: zb.generate(f, zoo, target=zb.TargetChoice(dataset="digist"))),
    ("densty", lambda zoo, fitted: zb.generate(fitted, zoo, densty="joint")),
    ("'safetensor'", lambda zoo, fitted: zb.export_zoo(zoo, "safetensor", "out")),
    ("nowhere", lambda zoo, fitted: zb.run_study("nowhere.yaml")),
    ("there are no tracks under", lambda zoo, fitted: zb.run_track("pca", "nowhere")),
    ("unknown device 'gpu'|'gpu'", lambda zoo, fitted: zb.Workspace(device="gpu")),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_argument_is_told_in_a_sentence(
    number: int, zoo: zb.Zoo, fitted: zb.Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence, call = WRONG[number]
    with pytest.raises(zb.InputError, match=sentence) as raised:
        call(zoo, fitted)
    assert "\n" not in str(raised.value)
    assert not any(tmp_path.iterdir())
