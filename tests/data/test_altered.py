"""Altered datasets: the labels, the splits and the files of the plain one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from data.test_datasets import SPLITS, encoded, export, noise
from torch import Tensor

from zoo_generation.data import ImageDataset, get_dataset, load_dataset
from zoo_generation.data.altered import ALTERATIONS
from zoo_generation.errors import InputError


def same(one: ImageDataset, other: ImageDataset) -> bool:
    return all(torch.equal(getattr(one, split).images, getattr(other, split).images) for split in SPLITS)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_labels_and_splits_are_those_of_the_plain_dataset(alteration: str) -> None:
    plain, altered = load_dataset("digits"), load_dataset(f"digits+{alteration}")
    for split in SPLITS:
        assert torch.equal(getattr(plain, split).labels, getattr(altered, split).labels)
    assert not same(plain, altered) and same(altered, load_dataset(f"digits+{alteration}"))
    images = altered.normalise(altered.train.images)
    assert float(images.mean().abs()) < 1e-4 and float((images.std(unbiased=False) - 1).abs()) < 1e-4
    few = load_dataset(f"digits+{alteration}", train_images=20)
    assert torch.equal(few.train.images, altered.train.images[:20])  # an image is altered in the same way among others
    assert (get_dataset(f"digits+{alteration}").classes, altered.name) == (plain.classes, f"digits+{alteration}")


def test_twice_inverted_and_four_times_turned_is_the_plain_dataset() -> None:
    plain = load_dataset("digits")
    assert same(plain, load_dataset("digits+inverted+inverted"))
    assert same(plain, load_dataset("digits" + 4 * "+rotated"))
    assert not same(plain, load_dataset("digits+rotated+rotated"))
    assert same(load_dataset("digits+inverted+rotated"), load_dataset("digits+rotated+inverted"))


def test_a_quarter_of_the_pixels_is_noise() -> None:
    def changed(split: str) -> Tensor:
        one, other = (getattr(load_dataset(name), split).images for name in ("digits", "digits+noisy"))
        return one != other

    found = {split: changed(split) for split in SPLITS}
    assert float(found["train"].double().mean()) == pytest.approx(0.25, abs=0.005)
    assert not torch.equal(found["val"][:100], found["test"][:100])


def test_images_are_found_where_the_plain_ones_are(tmp_path: Path) -> None:
    images = noise(40, 1, 28)
    export(tmp_path / "mnist/train-00000-of-00001.parquet", [encoded(each, "PNG") for each in images])
    plain, altered = (load_dataset(name, data_root=tmp_path) for name in ("mnist", "mnist+inverted"))
    assert torch.equal(plain.test.images, 255 - altered.test.images)
    with pytest.raises(InputError, match="'digits-3'"):
        get_dataset("digits-3+inverted")
    with pytest.raises(InputError, match="did you mean 'inverted'"):
        load_dataset("mnist+invertd", data_root=tmp_path)
