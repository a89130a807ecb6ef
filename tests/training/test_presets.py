"""Presets expand to the published zoos; their small siblings vary the same things, and train."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from zoo_generation.data import dataset_names
from zoo_generation.data.load import load_images
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.presets import describe, preset_names
from zoo_generation.training.spec import AXES, ZooSpec, make_spec, read_spec
from zoo_generation.training.train import train_models
from zoobench.cli.app import app

SMALL = [name for name in preset_names() if name.endswith("-small")]
PUBLISHED = {
    "cnn-seed": {"mnist": 1000, "cifar10": 2000},
    "cnn-hyp-10-fix": {"mnist": 2560, "svhn": 4320, "cifar10": 2560, "tiny_imagenet": 1280},
    "cnn-hyp-10-rand": {"mnist": 2560, "svhn": 4320, "cifar10": 2560, "tiny_imagenet": 1280},
    "resnet18-seed": {"cifar10": 1000, "cifar100": 1000, "tiny_imagenet": 1000},
    "phase-transition": {"cifar10": 192, "svhn": 192, "tiny_imagenet": 192},
    "parity": {"sparse_parity-5-32-3-6": 20},
}
"""Models by dataset that the authors' grids give; in colour, of the medium and the large CNN together."""


def preset(name: str, **fields: Any) -> ZooSpec:
    return make_spec(read_spec(name) | fields)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_is_the_published_zoo(name: str) -> None:
    for dataset, models in PUBLISHED[name].items():
        assert len(preset(name, datasets=dataset).models()) == models, dataset


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_serves_every_dataset(name: str) -> None:
    for dataset in dataset_names():
        models = preset(name, datasets=dataset, seeds=1).models()
        assert {model.dataset for model in models} == {dataset}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_preset_varies_what_its_sibling_varies(name: str) -> None:
    def varied(spec: ZooSpec) -> set[str]:
        return {axis for axis in AXES if len(getattr(spec, axis)) > 1}

    large, small = preset(name.removesuffix("-small")), preset(name)
    assert varied(small) == varied(large) and small.fixed_seeds == large.fixed_seeds
    assert len(small.models()) < len(large.models())


@pytest.mark.parametrize("name", SMALL)
def test_a_small_preset_trains(name: str) -> None:
    """Its first and its last model, for an epoch of forty images."""
    models = preset(name, epochs=1, train_images=40).models()
    for model in (models[0], models[-1]):
        (trained,) = train_models([model], load_images(dataset_key(model), None), 1)
        assert trained.spec == model and len(trained.checkpoints) == 1


def test_every_large_preset_has_a_small_one_and_help_lists_all() -> None:
    assert {f"{name}-small" for name in PUBLISHED} == set(SMALL)
    assert {*PUBLISHED, *SMALL} == set(preset_names())
    text = CliRunner().invoke(app, ["build-zoo", "--help"], env={"COLUMNS": "200"}).output
    for name in preset_names():
        assert name in text and describe(name) in text
