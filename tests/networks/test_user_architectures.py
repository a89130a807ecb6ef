"""Users' networks, by import path: trained in stacks if possible, and never run unless they are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import import_architecture
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

OWN = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(2), nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(self.pool(torch.relu(self.c2(torch.relu(self.c1(x))))).flatten(1))

class Tied(Net):
    def __init__(self, channels, classes):
        super().__init__(channels, classes)
        self.c3 = nn.Conv2d(4, 4, 3, padding=1)
        self.c3.weight = self.c2.weight
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        x = torch.relu(self.c3(torch.relu(self.c2(torch.relu(self.c1(x))))))
        x = self.pool(x) if self.training else self.pool(x) * 1.5
        return self.fc(F.dropout(x, 0.3, self.training).view(len(x), -1)) * self.temperature

def frozen(channels, classes):
    net = Net(channels, classes)
    net.c1.requires_grad_(False)
    return net

def tied(channels, classes):
    return Tied(channels, classes)

class Fourier(Net):
    def __init__(self, channels, classes):
        super().__init__(channels, classes)
        self.filter = nn.Parameter(torch.zeros(3, dtype=torch.cfloat))

def fourier(channels, classes):
    return Fourier(channels, classes)

def auxiliary(channels, classes):
    net = Net(channels, classes)
    net.register_forward_hook(lambda _, __, logits: {"logits": logits})
    return net
"""


def zoobench(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "zoobench", *arguments, "--home", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def visit(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Commands of this process run in the folder, which holds a user's modules."""
    for module, text in modules.items():
        monkeypatch.delitem(sys.modules, module, raising=False)
        (folder / f"{module}.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.faults
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


@pytest.mark.faults
def test_what_is_recorded_and_generated_of_a_users_network_is_so(
    run: Run, own_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(tmp_path, monkeypatch, own=OWN)
    at = ("--home", tmp_path)
    small = ("--datasets", "digits", "--image-size", "8", "--seeds", "8", "--learning-rate", "0.01", "--epochs", "2")
    names = ("--architectures", "own:frozen,own:tied")
    code, output = run("build-zoo", *small, *names, "--train-images", "300", "--name", "z", "--workers", "1", *at)
    assert code == 0 and output.count("one model at a time") == 1, output
    assert "own:tied is trained one model at a time: its forward pass" in output
    zoo = Zoo(tmp_path / "zoos" / "z")
    for name, entries in (("own:frozen", ["c1.weight", "c1.weight"]), ("own:tied", ["c2.weight", "c3.weight"])):
        of_model = zoo.checkpoints[zoo.checkpoints["architecture"] == name].groupby("model_id")
        weights, layout = zoo.weights(of_model.get_group(next(iter(of_model.groups))))
        first, last = (weights[row][layout[entry].span] for row, entry in zip((-2, -1), entries, strict=True))
        assert torch.equal(first, last) == (name == "own:frozen")
        assert torch.equal(*(weights[-1][layout[entry].span] for entry in entries))
    code, output = run("zoo", "validate", zoo.path, "--recompute", "12", *names, *at)
    assert code == 0 and "is valid" in output, output
    code, output = run(
        "generate", "--model", "weight_density", *names, "--zoo", zoo.path, "--drawn", "4", "--kept", "2", *at
    )
    assert code == 0, output
    generated = Zoo(next((tmp_path / "generated").glob("*/zoo.json")).parent)
    weights, layout = generated.weights(generated.checkpoints[generated.checkpoints["architecture"] == "own:tied"])
    assert torch.equal(weights[:, layout["c2.weight"].span], weights[:, layout["c3.weight"].span])
    code, output = run("zoo", "export", zoo.path, "--to", "safetensors", "--out", "exported", *at)
    assert code == 0, output


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("own:fourier", "'own:fourier' has complex numbers in 'filter', which a zoo does not keep"),
        ("own:auxiliary", "'own:auxiliary' must return logits"),
    ],
)
def test_a_network_that_no_zoo_can_be_made_of_ends_a_build(
    run: Run, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(tmp_path, monkeypatch, own=OWN)
    code, output = run("build-zoo", "--datasets", "digits", "--architectures", name, "--home", tmp_path)
    assert code == 2 and reason in " ".join(output.split()) and "Traceback" not in output


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
    visit(tmp_path, monkeypatch, usernets=CODE)
    with pytest.raises(InputError, match=reason) as error:
        import_architecture(name)
    assert "\n" not in str(error.value)
