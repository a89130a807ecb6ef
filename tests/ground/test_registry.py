"""Registries: things of zoobench and of installed packages, by name; and a package that brings several, used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.packages import write_package

from zoo_generation.data import load_dataset
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.registry import ACTIVATIONS
from zoo_generation.registry import Registry
from zoobench.catalogue import KINDS
from zoobench.zoo import Zoo

GROUP = "zoobench.things"
Things = Callable[..., Registry[float]]
Package = Callable[..., None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Installs a package with these modules for the length of a test, here and in the processes that Ray starts."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def install(name: str, entry_points: dict[str, dict[str, str]], **modules: str) -> None:
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)
        write_package(place, name, entry_points, modules)

    return install


@pytest.fixture
def things(package: Package) -> Things:
    """A registry of numbers, of which `pi` is our own, beside installed packages: `name=place` each."""

    def check(name: str, found: object) -> float:
        if not isinstance(found, float):
            raise InputError("is not a number")
        return found

    def make(*packages: dict[str, str], **modules: str) -> Registry[float]:
        for number, entries in enumerate(packages):
            package(f"package-{number}", {GROUP: entries}, **modules)
        return Registry("thing", GROUP, {"pi": "math:pi"}, check)

    return make


def test_nothing_is_imported_before_it_is_asked_for(things: Things) -> None:
    registry = things({"mine": "lazy_one:X", "broken": "lazy_two:X"}, lazy_one="X = 1.5", lazy_two="1 / 0")
    assert registry.names() == ("pi", "broken", "mine") and "mine" in registry and "his" not in registry
    assert registry.installed() == {"broken": "lazy_two:X", "mine": "lazy_one:X"}
    assert not {"lazy_one", "lazy_two"} & set(sys.modules)
    assert registry.get("mine") == 1.5 and "lazy_two" not in sys.modules
    assert [line.summary[:15] for line in registry.described()][1] == "cannot be used:"


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("mine", "absent:X", "cannot be imported (ModuleNotFoundError: No module named 'absent'); repair that package"),
        ("mine", "bad:X", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("mine", "good:Y", "cannot be imported (AttributeError: module 'good' has no attribute 'Y')"),
        ("mine", "good:text", "(good:text) is not a number"),
        ("../mine", "good:X", "has a name that cannot name a folder"),
    ],
)
def test_what_a_package_gives_wrongly_is_one_sentence(things: Things, name: str, place: str, sentence: str) -> None:
    registry = things({name: place}, bad="1 / 0", good="X, text = 1.0, 'x'")
    with pytest.raises(InputError) as told:
        registry.get(name)
    assert str(told.value).startswith(f"the thing '{name}' of the package package-0 ") and sentence in str(told.value)
    assert "\n" not in str(told.value)


def test_names_are_unique_and_ours_win(things: Things) -> None:
    registry = things({"mine": "good:X", "pi": "good:X"}, {"mine": "good:X"}, good="X = 1.0")
    with pytest.raises(InputError, match="package-0 and package-1 both give a thing 'mine'; uninstall all but one"):
        registry.get("mine")
    with pytest.warns(UserWarning, match="'pi' of the package package-0 is not used, since 'pi' is a built-in thing"):
        assert registry.get("pi") > 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.get("pi") > 3  # warned once
    assert registry.names().count("pi") == 1
    with pytest.raises(InputError, match="unknown thing 'mien': did you mean 'mine'"):
        registry.get("mien")


SCRATCH = '''
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo_generation.data import DatasetEntry, ImageRows, ImageSource
from zoo_generation.networks.architectures import architecture
from zoo_generation.networks.architectures.activations import activate
from zoobench.zoo.importers import Candidate, FoundCheckpoint, FoundModel, SourceLayout, model_columns, read_state


def shades(size: int = 4) -> DatasetEntry:
    return DatasetEntry(1, size, ("dark", "light"), read=partial(read_shades, size), summary="two shades of grey")


def read_shades(size: int) -> ImageSource:
    labels = torch.arange(400) % 2
    noise = torch.randint(0, 100, (400, 1, size, size), generator=torch.Generator().manual_seed(0))
    images = (noise + 100 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return ImageSource("the scratch package", ("dark", "light"), ImageRows.of(images, labels))


@architecture(image_size=4, fixed_image_size=True)
def tiny(*, channels: int, classes: int, activation: str, dropout: float, width: float) -> nn.Module:
    """One hidden layer of five units."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 16, 5), activate(activation), nn.Linear(5, classes))


def halves(weight: Tensor) -> Tensor:
    return nn.init.constant_(weight, 0.5)


def candidates(folder: Path) -> list[Candidate]:
    return [Candidate(file.stem, partial(read, file)) for file in sorted(folder.glob("*.weights"))]


def read(file: Path) -> FoundModel:
    row, told = model_columns({"dataset": "shades", "activation": "scratch_mish", "epochs": 3}, file.stem)
    checkpoint = FoundCheckpoint(3, {"val_accuracy": 0.9}, partial(read_state, file))
    return FoundModel(file.stem, row, False, {"file": file.name}, [(3, checkpoint.metrics)], [checkpoint], told=told)


def matches(folder: Path) -> bool:
    return any(folder.glob("*.weights"))


LAYOUT = SourceLayout(matches, candidates, summary="files of weights, side by side")
'''
ENTRY_POINTS = {
    "zoobench.datasets": {"shades": "scratch:shades"},
    "zoobench.architectures": {"scratch_tiny": "scratch:tiny"},
    "zoobench.activations": {"scratch_mish": "torch.nn:Mish"},
    "zoobench.inits": {"scratch_halves": "scratch:halves"},
    "zoobench.importers": {"scratch_files": "scratch:LAYOUT"},
}


@pytest.mark.faults
def test_a_package_brings_what_zoos_are_made_of(own_ray: None, run: Run, package: Package, tmp_path: Path) -> None:
    package("scratch", ENTRY_POINTS, scratch=SCRATCH)
    choice = ["--datasets", "shades", "--architectures", "scratch_tiny", "--activation", "scratch_mish,tanh"]
    budget = ["--init", "scratch_halves", "--learning-rate", "0.01", "--seeds", "2", "--epochs", "3", "--workers", "1"]
    code, output = run("build-zoo", *choice, *budget, "--home", tmp_path)
    assert code == 0, output
    zoo = Zoo(tmp_path / "zoos" / "shades-scratch_tiny")
    assert set(zoo.models["activation"]) == {"scratch_mish", "tanh"} and set(zoo.models["dataset"]) == {"shades"}
    assert set(zoo.models["architecture"]) == {"scratch:tiny"}  # the import path, which workers find it by
    assert zoo.checkpoints.groupby("model_id")["test_accuracy"].last().min() > 0.9
    code, output = run("zoo", "validate", zoo.path, "--recompute", "2", "--home", tmp_path)
    assert code == 0, output

    (tmp_path / "files").mkdir()
    weights, layout = zoo.weights(zoo.checkpoints.tail(1))
    torch.save(layout.unflatten(weights[0]), tmp_path / "files" / "one.weights")
    code, output = run("zoo", "import", tmp_path / "files", "--architecture", "scratch_tiny", "--home", tmp_path)
    assert code == 0, output
    imported = Zoo(tmp_path / "zoos" / "files")
    assert imported.models.iloc[0][["dataset", "classes", "image_size"]].tolist() == ["shades", 2, 4]
    assert torch.equal(imported.weights(imported.checkpoints)[0], weights)

    code, output = run("list", "importers", "--json")
    assert code == 0 and json.loads(output)[-1]["summary"] == "files of weights, side by side"


def test_numbers_follow_the_name_of_a_dataset(package: Package) -> None:
    package("scratch", ENTRY_POINTS, scratch=SCRATCH)
    assert (load_dataset("shades").size, load_dataset("shades-6").size) == (4, 6)
    assert get_architecture("scratch_tiny").name == "scratch:tiny" == get_architecture("scratch:tiny").name
    assert "mish" not in ACTIVATIONS and isinstance(ACTIVATIONS.get("scratch_mish")(), torch.nn.Mish)


@pytest.mark.parametrize(
    ("group", "place", "get", "sentence"),
    [
        ("datasets", "bad:number", load_dataset, "must be a zoo_generation.data.DatasetEntry, or a function that"),
        ("architectures", "bad:number", get_architecture, "must be a function that returns a torch.nn.Module"),
        ("architectures", "bad:fails", get_architecture, "cannot be built (no); it must take channels and classes"),
        ("activations", "bad:number", ACTIVATIONS.get, "is not a class of torch.nn.Module, or a function"),
    ],
)
def test_what_is_no_such_thing_is_one_sentence(
    package: Package, group: str, place: str, get: Callable[[str], object], sentence: str
) -> None:
    text = "number = 3\n\ndef fails(channels, classes):\n    raise ValueError('no')\n"
    package("bad", {f"zoobench.{group}": {"bad_one": place}}, bad=text)
    with pytest.raises(InputError) as told:
        get("bad_one")
    assert "'bad_one' of the package bad" in str(told.value) and sentence in str(told.value)


@pytest.mark.parametrize("kind", KINDS)
def test_list_says_what_each_thing_is(run: Run, kind: str) -> None:
    code, output = run("list", kind, "--json", "--home", Path(__file__).parents[2])
    lines = json.loads(output)
    assert code == 0 and len(lines) >= 3
    for line in lines:
        assert (
            line["name"] and line["summary"] and "\n" not in line["summary"] and "cannot be used" not in line["summary"]
        )
    code, output = run("list", kind, "--home", Path(__file__).parents[2])
    assert code == 0 and all(line["name"] in output for line in lines)


@pytest.mark.parametrize("code", ["import zoobench", "import zoobench.cli.app", "import zoo_generation.training.spec"])
def test_importing_is_light(code: str) -> None:
    heavy = {"torch", "ray", "pandas", "torchvision", "matplotlib", "sklearn", "scipy", "pyarrow"}
    if "cli" not in code and "spec" not in code:
        heavy |= {"numpy", "typer", "rich", "pydantic"}
    script = f"import sys\n{code}\nprint(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_says_how_a_command_ends(run: Run) -> None:
    code, output = run("--help")
    assert code == 0
    for words in ("--version", "--install-completion", "2 the input cannot be used", "130 interrupted"):
        assert words in output
    assert run("--version") == (0, "zoobench 0.1.0\n")
    code, output = run("ebmed")
    assert code == 2 and "Did you mean 'embed'?" in output
