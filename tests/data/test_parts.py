"""Parts of a dataset's images: they are disjoint, cover it, and keep what belongs to the whole."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from zoo_generation.data import load_dataset
from zoo_generation.data.load import DatasetKey, images_of, load_images
from zoo_generation.data.part import DataPart
from zoo_generation.errors import InputError

CLASSES = 6


@st.composite
def divisions(draw: st.DrawFn) -> list[DataPart]:
    """All parts of one division."""
    by, of = draw(st.sampled_from(["iid", "skew", "classes"])), draw(st.integers(2, CLASSES))
    share = draw(st.floats(1 / of, 1, exclude_min=True, exclude_max=True)) if by == "skew" else None
    return [DataPart(by=by, of=of, number=number, share=share) for number in range(of)]


@given(divisions(), st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=60).map(torch.tensor))
def test_parts_are_disjoint_cover_the_set_and_hold_what_they_say(parts: list[DataPart], labels: Tensor) -> None:
    rows = [part.rows(labels, CLASSES) for part in parts]
    assert torch.equal(torch.cat(rows).sort().values, torch.arange(len(labels)))
    assert all(torch.equal(each, each.sort().values) for each in rows)
    assert sorted(each for part in parts if part.by == "classes" for each in part.classes(CLASSES)) in (
        [],
        [*range(CLASSES)],
    )
    homes = [DataPart(by="classes", of=part.of, number=part.number).classes(CLASSES) for part in parts]
    for part, own, home in zip(parts, rows, homes, strict=True):
        if part.by == "iid":
            assert len(labels) // part.of <= len(own) <= -(-len(labels) // part.of)
            continue
        assert set(labels[own].tolist()) <= set(part.classes(CLASSES))
        for label in range(CLASSES):
            here, there = int((labels[own] == label).sum()), int((labels == label).sum())
            kept = (1.0 if part.share is None else part.share) if label in home else 0.0
            rest = 0.0 if part.share is None or label in home else (1 - part.share) / (part.of - 1)
            assert abs(here - (kept + rest) * there) <= 1.5


@given(divisions())
def test_the_text_of_a_part_says_all_of_it(parts: list[DataPart]) -> None:
    for part in parts:
        assert DataPart.read(str(part)) == DataPart.read(part.model_dump()) == part
    assert len({str(part) for part in parts}) == len(parts)


def test_parts_are_the_same_for_ever() -> None:
    """Zoos of these parts are on disks: their images must not change."""
    labels = torch.arange(12) % 4
    found = {text: DataPart.read(text).rows(labels, 4).tolist() for text in ("iid-0-of-2", "skew-1-of-2-0.6")}
    assert found == {"iid-0-of-2": [0, 2, 3, 5, 6, 10], "skew-1-of-2-0.6": [2, 3, 4, 5, 10, 11]}


@pytest.mark.parametrize("text", ["iid-1-of-3", "skew-0-of-2-0.8", "classes-1-of-2"])
def test_a_part_of_a_dataset_is_normalised_as_the_whole_and_has_all_test_images(text: str) -> None:
    key = DatasetKey("digits", 300, 28, None)
    whole, part = load_images(key, None), load_images(key._replace(part=text), None)
    assert (part.mean, part.std) == (whole.mean, whole.std) and 0 < len(part.train) < len(whole.train)
    for split, of_whole in ((part.train, whole.train), (part.val, whole.val)):
        rows = DataPart.read(text).rows(of_whole.labels, 10)
        assert torch.equal(split.images, of_whole.images[rows]) and torch.equal(split.labels, of_whole.labels[rows])
    assert torch.equal(part.test.images, whole.test.images)


def test_a_row_of_a_zoo_says_which_part_its_model_saw() -> None:
    known = {"dataset": "digits", "train_images": 100, "image_size": 8, "architecture": "mlp", "channels": 1}
    whole, first, second = (
        {split: images_of(pd.Series(known | {"classes": 10, "data_part": part}), split) for split in ("val", "test")}
        for part in (None, "iid-0-of-2", "iid-1-of-2")
    )
    rows = DataPart.read("iid-0-of-2").rows(whole["val"].labels, 10)
    assert torch.equal(first["val"].images, whole["val"].images[rows])
    assert len(first["val"].labels) + len(second["val"].labels) == len(whole["val"].labels)
    assert torch.equal(first["test"].images, whole["test"].images)


@given(st.integers(6, 1000), st.integers(0, 999))
def test_a_part_of_one_class_or_none_is_told(of: int, number: int) -> None:
    assume(number < of and len(DataPart(by="classes", of=of, number=number).classes(10)) < 2)
    with pytest.raises(InputError, match=f"the part classes-{number}-of-{of} of 'digits' has fewer than two classes"):
        DIGITS.of_part(f"classes-{number}-of-{of}")


DIGITS = load_dataset("digits", train_images=50)
