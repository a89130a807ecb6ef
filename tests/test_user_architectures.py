"""A user's own networks, by import path: trained stacked where they can be, and never run unless they are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoo_generation.architectures import import_architecture
from zoo_generation.errors import InputError
from zoobench.zoo import Zoo

CODE = """
from pathlib import Path
from torch import nn

Path(__file__).with_suffix(".imported").touch()

def net(channels, classes, width=1.0):
    convolution = nn.Conv2d(channels, int(8 * width), 3, stride=2, padding=1)
    return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(int(32 * width), classes))

def normed(channels, classes):
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(channels * 64), nn.Linear(channels * 64, classes))

def wrong(channels, classes):
    return classes

number = 3
"""


def zoobench(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "zoobench", *arguments, "--home", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_networks_of_a_user_are_trained_and_not_run_unless_named(tmp_path: Path) -> None:
    (tmp_path / "mynets.py").write_text(CODE)
    code, output = zoobench(
        tmp_path,
        *("build-zoo", "--datasets", "digits", "--architectures", "mynets:net,mynets:normed", "--width", "0.5,1"),
        *("--image-size", "8", "--learning-rate", "0.01", "--seeds", "2", "--epochs", "1", "--train-images", "100"),
    )
    assert code == 0 and "mynets:normed is trained one model at a time: LayerNorm is not known" in output
    zoo = Zoo(tmp_path / "zoos" / "digits-mynets.net+mynets.normed")
    counts = zoo.models.groupby(["architecture", "width"]).size().to_dict()
    assert counts == {("mynets:net", 0.5): 2, ("mynets:net", 1.0): 2, ("mynets:normed", 1.0): 2}

    imported = tmp_path / "mynets.imported"
    imported.unlink()
    code, output = zoobench(tmp_path, "eval")
    assert code == 2 and "is a user's code; name it with --architectures mynets:net" in " ".join(output.split())
    assert not imported.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere:net", "No module named 'nowhere'"),
        ("usernets:gone", "has no attribute 'gone'"),
        ("usernets:number", "not a callable"),
        ("usernets:wrong", "cannot be built"),
    ],
)
def test_what_is_no_architecture_is_told(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usernets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(InputError, match=reason) as error:
        import_architecture(name)
    assert "\n" not in str(error.value)
