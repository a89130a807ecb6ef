"""Models on random subsets of the training images: each is a model for which there are no other images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training.test_stacked import apart, assert_trained_alone
from training.test_training import digits

from zoo_generation.data.images import Split
from zoo_generation.data.subset import subset_mask, subset_rows
from zoo_generation.errors import InputError
from zoo_generation.training.objective import Objective
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_model, train_models, train_stack

HALVES = {"datasets": "digits", "learning_rate": 1e-3, "epochs": 2, "checkpoint_epochs": [2], "subset_fraction": 0.5}


@given(images=st.integers(3, 300), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_a_subset_has_its_share_of_the_images_once_each(images: int, fraction: float, seed: int) -> None:
    size = round(fraction * images)
    if not 0 < size < images:
        with pytest.raises(InputError, match="choose one that leaves some out"):
            subset_rows(images, fraction, seed)
        return
    rows = subset_rows(images, fraction, seed)
    assert len(rows) == size and bool((rows.diff() > 0).all()) and 0 <= int(rows[0]) <= int(rows[-1]) < images
    assert torch.equal(subset_mask(images, fraction, seed).nonzero().flatten(), rows)


def test_images_are_drawn_evenly_and_apart_from_one_another() -> None:
    masks = torch.stack([subset_mask(40, 0.25, seed) for seed in range(4000)]).double()
    assert (masks.mean(0) - 0.25).abs().max() < 5 * (0.25 * 0.75 / 4000) ** 0.5
    together = torch.cov(masks.T).fill_diagonal_(0) / (0.25 * 0.75)  # -1/39 each
    assert (together + 1 / 39).fill_diagonal_(0).abs().max() < 5 / 4000**0.5


@given(subsets=st.integers(1, 4), seeds=st.integers(1, 3), first=st.integers(0, 50), fixed=st.booleans())
def test_a_spec_trains_its_seeds_on_each_subset(subsets: int, seeds: int, first: int, fixed: bool) -> None:
    fields = {"subsets": subsets, "seeds": seeds, "subset_seed": first, "seed": 5, "fixed_seeds": fixed}
    spec = make_spec(HALVES | fields)
    models = spec.models()
    assert [model.subset_seed for model in models] == [5 + first + k for k in range(subsets) for _ in range(seeds)]
    assert len({model.seed for model in models}) == (seeds if fixed else subsets * seeds)
    assert make_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"subset_fraction": 1.0}, "'subset_fraction' was given 1"),
        ({"subset_fraction": None, "subsets": 3}, "give a subset_fraction too"),
        ({"shared_order": True}, "cannot have a shared_order"),
    ],
)
def test_subsets_that_cannot_be_are_told(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make_spec(HALVES | fields)


@pytest.mark.parametrize("architecture", ["cnn_s", "resnet18"])
def test_a_model_on_a_subset_is_the_model_for_which_there_are_no_other_images(architecture: str) -> None:
    shape = {"architectures": architecture, "width": 0.0625, "image_size": 16, "batch_size": 16}
    specs = make_spec(HALVES | shape | {"subsets": 3, "seeds": 1, "schedule": "onecycle"}).models()
    whole = digits(specs[0].image_size, images=75)
    for spec, stacked in zip(specs, train_stack(specs, whole), strict=True):
        assert spec.subset_fraction and spec.subset_seed is not None
        rows = subset_rows(75, spec.subset_fraction, spec.subset_seed)
        alone = replace(whole, train=Split(whole.train.images[rows], whole.train.labels[rows]))
        plain = spec.model_copy(update={"subset_fraction": None, "subset_seed": None})
        assert apart(train_model(spec, whole), train_model(plain, alone), 1.0) == 0
        assert_trained_alone(stacked, whole)


def test_images_of_weight_zero_change_nothing_but_the_steps_that_they_are_left_out_of() -> None:
    """In one order for all models, which then differ by their weights alone; labels of such images do not matter."""
    fields = {"datasets": "digits", "learning_rate": 1e-3, "epochs": 1, "seeds": 2, "shared_order": True}
    specs = [spec.model_copy(update={"seed": 3}) for spec in make_spec(fields).models()]
    images = digits(28, images=64)
    weights = torch.ones(2, 64)
    weights[1, [4, 20]] = 0
    other = images.train.labels.clone()
    other[[4, 20]] = (other[[4, 20]] + 1) % 10
    whole, without = train_models(specs, images, 2, objective=Objective(images.train.labels, weights=weights))
    same = train_models(specs, images, 2, objective=Objective(other, weights=weights[1:]))
    assert apart(same[0], without, 1.0) == apart(same[1], without, 1.0) == 0 < apart(whole, without, 1.0)
    plain = train_models(specs, images, 2)
    assert apart(plain[0], whole, 1.0) == 0
    with pytest.raises(InputError, match=r"weights are of shape \[2, 63\]"):
        train_models(specs, images, 2, objective=Objective(other, weights=weights[:, 1:]))
