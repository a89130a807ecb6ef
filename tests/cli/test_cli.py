"""The commands as a user runs them, on real images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Run

from zoobench.methods.sane import PRESETS, SaneConfig
from zoobench.zoo import Zoo


def contents(path: Path) -> tuple[pd.DataFrame, torch.Tensor]:
    """Everything that a build decides: tables without timings and places, and weights."""
    zoo = Zoo(path)
    return zoo.checkpoints.drop(columns=["seconds", "part", "row"]), zoo.weights(zoo.checkpoints)[0]


def assert_same_zoo(one: Path, other: Path) -> None:
    (table, weights), (other_table, other_weights) = contents(one), contents(other)
    pd.testing.assert_frame_equal(table, other_table)
    assert torch.equal(weights, other_weights)


def test_evaluate_and_rank(run: Run, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", SaneConfig(d_model=32, layers=1, latent=8, steps=20))
    code, output = run("eval", "--tasks", "reconstruction", "--seeds", "1", "--home", built)  # on the zoo built last
    assert code == 0 and "Reconstruction" in output and "Property" not in output
    folder = built / "results" / "digits-cnn_s-sane"
    assert (folder / "scores.png").stat().st_size > 1000
    table = pd.read_parquet(folder / "measurements.parquet").set_index(["method", "metric"])["value"]
    ranking = pd.read_csv(folder / "standings.csv").set_index("method")
    assert set(ranking.index) == {"sane", "pca"} and ranking["rank"].tolist() == [1, 2]
    for method, row in ranking.iterrows():
        assert row["average"] == pytest.approx(table[method, "kept"])
    assert ranking["average"].is_monotonic_decreasing


@pytest.mark.faults
def test_generators_are_evaluated_and_ranked(run: Run, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", SaneConfig(d_model=32, layers=1, latent=8, steps=20))
    code, output = run("eval", "--tasks", "generation", "--seeds", "1", "--home", built)  # on the zoo built last
    assert code == 0 and "Generation" in output and "random_init" in output and "Property" not in output
    folder = built / "results" / "digits-cnn_s-sane"
    table = pd.read_parquet(folder / "measurements.parquet")
    assert (folder / "scores.png").stat().st_size > 1000
    generators = {"random_init", "anchors", "anchor_average", "matched_average", "weight_density"}
    assert set(table["method"]) == {"sane"} | generators
    generated = table[table["task"] == "generation"].set_index(["method", "metric"])["value"]
    assert generated["anchors", "novelty"] == 0 < generated["random_init", "novelty"]

    ranking = pd.read_csv(built / "results" / "digits-cnn_s-sane" / "standings.csv")
    generation = ranking[ranking["task"] == "generation"].set_index("method")
    assert generation["rank"].tolist() == sorted(generation["rank"]) and generation["average"].is_monotonic_decreasing
    assert generation.loc["anchors", "rank"] < generation.loc["random_init", "rank"]


def test_train(run: Run, built: Path, tmp_path: Path) -> None:
    """From zoos and from a token set with the same content; existing files are not overwritten."""
    settings = ["--set", "d_model=32,layers=1,latent=8,steps=20", "--home", built]
    code, output = run("train", "--zoo", built / "zoos" / "digits-cnn_s", *settings)
    assert code == 0 and "validation r2" in output
    trained = built / "models" / "digits-cnn_s-sane-0"
    assert (built / "results" / "train-digits-cnn_s-sane-0" / "losses.png").stat().st_size > 1000
    run("tokens", "build", "--zoo", built / "zoos" / "digits-cnn_s", "--out", tmp_path / "tokens")
    code, _ = run("train", "--tokens", tmp_path / "tokens", "--out", tmp_path / "trained", *settings)
    assert code == 0
    files = {file.name for file in trained.iterdir()} - {"losses.json", "SHA256SUMS"}  # losses are told now and then
    assert "model.safetensors" in files
    assert all((trained / name).read_bytes() == (tmp_path / "trained" / name).read_bytes() for name in files)
    code, output = run("train", "--zoo", built / "zoos" / "digits-cnn_s", *settings)
    assert code == 2 and "is there already" in output


def test_mnist_from_the_data_root(run: Run, tmp_path: Path, real_images: Path) -> None:
    code, output = run(
        *("build-zoo", "--datasets", "mnist,cifar10", "--architectures", "cnn_s,resnet18", "--width", "0.03125"),
        *("--image-size", "16", "--learning-rate", "0.003", "--seeds", "1", "--epochs", "1", "--train-images", "200"),
        *("--batch-size", "64", "--data-root", real_images, "--home", tmp_path),
    )
    assert code == 0 and "4/4" in output
    card = json.loads((tmp_path / "zoos/mnist+cifar10-cnn_s+resnet18/zoo.json").read_text())
    assert card["spec"]["datasets"] == ["mnist", "cifar10"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["build-zoo", "--datasets", "mnits"], "unknown dataset 'mnits': did you mean 'mnist'?"),
        (["build-zoo", "--architectures", "cnn_x"], "unknown architecture 'cnn_x': did you mean 'cnn_"),
        (["build-zoo", "--activation", "swish"], "spec field 'activation' was given 'swish'"),
        (["build-zoo", "--spec", "{tmp}/none.yaml"], "cannot read the spec"),
        (["build-zoo", "--spec", "{tmp}/list.yaml"], "must hold fields"),
        (["build-zoo", "--spec", "{tmp}/bad.yaml"], "spec field 'epochs' was given 'soon'"),
        (["build-zoo", "--datasets", "mnist", "--data-root", "{tmp}/nowhere"], "nowhere"),
        (["build-zoo", "--spec", "cnn-sede"], "unknown preset 'cnn-sede': did you mean 'cnn-seed'?"),
        (["build-zoo", "--device", "gpu"], "'gpu'"),
        (["build-zoo", "--cpus-per-job", "0"], "a job of 0 cores"),
        (["build-zoo", "--architectures", "nowhere:net"], "cannot import the architecture 'nowhere:net'"),
        (["build-zoo", "--out", "foo://bar"], "foo"),
        (["eval", "--statuses", "trianed"], "'trianed'"),
        (["eval", "--model", "same"], "unknown method 'same': did you mean 'sane'?"),
        (["eval", "--preset", "huge"], "unknown preset of sane 'huge'"),
        (["eval"], "there is no zoo under"),
        (["eval", "--zoo", "{tmp}"], "is not a zoo: it has no zoo.json"),
        (["eval", "--set", "windw=3"], "unknown hyperparameter 'windw': did you mean 'window'?"),
        (["train", "--set", "window=soon"], "the hyperparameter 'window' was given 'soon'"),
        (["train", "--set", "window=8"], "no room for a halo of 12"),
        (["train", "--model", "anchors", "--set", "steps=3"], "unknown hyperparameter 'steps'"),
        (["train", "--tokens", "{tmp}"], "there is no tokens.json"),
        (["leaderboard", "show"], "there are no tracks under"),
        (["eval", "--track", "generation-id"], "there are no tracks under"),
        (["submit", "{tmp}"], "there are no tracks under"),
        (["submit", "{tmp}/list.yaml"], "is not a submission"),
        (["submit", "{tmp}", "--seeds", "abc"], "--seeds was given 'abc'"),
        (["eval", "--track", "all", "--seeds", "5"], "--seeds 5 was given with --track all"),
        (["leaderboard", "verify"], "there are no tracks under"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(run: Run, tmp_path: Path, command: list[str], sentence: str) -> None:
    (tmp_path / "list.yaml").write_text("- digits\n")
    (tmp_path / "bad.yaml").write_text("datasets: digits\nepochs: soon\n")
    code, output = run(*(part.format(tmp=tmp_path) for part in command), "--home", tmp_path)
    assert code == 2
    error = output[output.index("Error:") :].strip()
    assert sentence in error and "\n" not in error and "Traceback" not in output
    assert not (tmp_path / "zoos").exists()


@pytest.mark.parametrize("option", ["--stack-size", "--workers"])
def test_a_number_out_of_range_is_told(run: Run, option: str) -> None:
    code, output = run("build-zoo", option, "0")
    assert code == 2 and f"Invalid value for '{option}': Input should be greater than or equal to 1" in output


def test_help_is_quick_to_import() -> None:
    """No heavy room is imported to show the help."""
    script = (
        "import sys, zoobench.cli.app; "
        "print(*{'torch', 'ray', 'pandas', 'torchvision', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
