"""Datasets: where they are found, how they are split, and the errors if they cannot be loaded."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from zoo_generation.data import (
    ImageDataset,
    Split,
    available_datasets,
    dataset_names,
    default_data_root,
    get_dataset,
    load_dataset,
)
from zoo_generation.data.load import images_of
from zoo_generation.data.made import glyphs
from zoo_generation.data.made.sparse_parity import SparseParity
from zoo_generation.data.source import ImageRows, ImageSource, divide
from zoo_generation.errors import InputError

SPLITS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ZOOBENCH_DATA", raising=False)
    return tmp_path / "cache" / "zoobench"


@pytest.fixture
def few_glyphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "SPLITS", {"train": 60, "val": 20, "test": 20})


def numbered(count: int, classes: int = 2) -> ImageRows:
    """Images of one pixel that hold their own row number."""
    return ImageRows.of(torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(count) % classes)


def numbers(split: Split) -> list[int]:
    return split.images.flatten().tolist()


def noise(count: int, channels: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def encoded(image: Tensor, kind: str) -> bytes:
    file = io.BytesIO()
    pixels = image.permute(1, 2, 0).numpy()
    options = {"quality": 90} if kind == "JPEG" else {"lossless": True}
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, kind, **options)
    return file.getvalue()


def export(path: Path, images: Sequence[bytes | None], *, image: str = "image", label: str = "label") -> None:
    """A file as the Hugging Face Hub writes it, with labels 0, 1, 0, 1, …"""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [row % 2 for row in range(len(images))]
    table = pa.table({image: [{"bytes": data, "path": None} for data in images], "coarse": labels, label: labels})
    features = {"info": {"features": {label: {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)


def idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">HBB{values.ndim}i", 0, 8, values.ndim, *values.shape) + values.tobytes())


@given(st.sampled_from([1, 3]), st.integers(1, 24), st.sampled_from([1, 3]), st.integers(1, 24))
@settings(max_examples=30, deadline=None)
def test_fit_gives_what_was_asked_for(channels: int, size: int, new_channels: int, new_size: int) -> None:
    split = Split(noise(5, channels, size), torch.zeros(5, dtype=torch.int64))
    dataset = ImageDataset.of("noise", ("only",), split, split, split)
    fitted = dataset.fit(new_channels, new_size)
    assert (fitted is dataset) == ((channels, size) == (new_channels, new_size))
    assert (fitted.channels, fitted.size, len(fitted.mean)) == (new_channels, new_size, new_channels)
    assert all(getattr(fitted, name).images.dtype == torch.uint8 for name in SPLITS)
    least, most = int(split.images.min()), int(split.images.max())
    assert least <= int(fitted.train.images.min()) <= int(fitted.train.images.max()) <= most
    if new_size == size:
        luma = torch.tensor([0.299, 0.587, 0.114] if new_channels < channels else [1 / channels] * channels)
        grey = float(luma @ torch.tensor(dataset.mean))
        assert sum(fitted.mean) / new_channels == pytest.approx(grey, abs=0.51 / 255)  # rounding


def test_normalised_train_images_are_standardised() -> None:
    split = Split(noise(200, 3, 8), torch.zeros(200, dtype=torch.int64))
    dataset = ImageDataset.of("noise", ("only",), split, split, split)
    images = dataset.normalise(split.images)
    assert images.dtype == torch.float32
    assert images.mean((0, 2, 3)).abs().max() < 1e-4
    assert (images.std((0, 2, 3), unbiased=False) - 1).abs().max() < 1e-4
    black = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    assert ImageDataset.of("black", ("only",), black, black, black).normalise(black.images).isfinite().all()


@given(st.integers(12, 250), st.integers(1, 300), st.integers(1, 300), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_splits_are_disjoint_fixed_and_capped(rows: int, cap: int, other: int, has_val: bool, has_test: bool) -> None:
    source = ImageSource(
        "memory", ("a", "b"), numbered(rows), *(numbered(9) if has else None for has in (has_val, has_test))
    )
    whole = divide("numbers", source, None)
    small, large = (divide("numbers", source, count) for count in sorted((cap, other)))
    carved = [] if has_val and has_test else numbers(whole.val)
    carved += [] if has_val or has_test else numbers(whole.test)
    assert sorted(numbers(whole.train) + carved) == list(range(rows))
    assert numbers(small.train) == numbers(large.train)[: len(small.train)]
    assert numbers(large.train) == numbers(whole.train)[: max(cap, other)]
    assert len(small.train) == min(cap, other, len(whole.train))
    assert numbers(small.val) == numbers(whole.val) and numbers(small.test) == numbers(whole.test)


def test_the_split_never_changes() -> None:
    digits = load_dataset("digits")
    assert [len(getattr(digits, split)) for split in SPLITS] == [1078, 270, 449]
    assert digits.train.labels[:12].tolist() == [6, 5, 3, 0, 2, 9, 7, 7, 4, 0, 0, 6]
    assert (digits.channels, digits.size, int(digits.train.images.max())) == (1, 8, 255)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_real_parquet(real_images: Path, name: str) -> None:
    dataset = load_dataset(name, data_root=real_images, train_images=300, download=False)
    table = pq.read_table(real_images / name / "test-00000-of-00001.parquet", columns=["image", "label"])
    pixels = np.asarray(Image.open(io.BytesIO(table["image"][7].as_py()["bytes"])))
    assert np.array_equal(dataset.test.images[7].permute(1, 2, 0).squeeze(2).numpy(), pixels)
    assert dataset.test.labels.tolist() == table["label"].to_pylist()
    assert len(dataset.train) == 300 and len(dataset.classes) == (100 if name == "cifar100" else 10)
    assert name in available_datasets(real_images)


@pytest.mark.parametrize(("kind", "error"), [("PNG", 0), ("WEBP", 0), ("JPEG", 40)])
def test_formats_columns_and_shards(tmp_path: Path, kind: str, error: int) -> None:
    images = torch.nn.functional.interpolate(noise(20, 3, 4).float(), 32, mode="bilinear").to(torch.uint8)
    files = [encoded(image, kind) for image in images]
    for shard in range(2):
        part = files[shard * 10 : shard * 10 + 10]
        export(tmp_path / f"svhn/data/train-0000{shard}-of-00002.parquet", part, image="img", label="fine_label")
    export(tmp_path / "svhn/data/valid-00000-of-00001.parquet", files, image="img", label="fine_label")
    dataset = load_dataset("svhn", data_root=tmp_path, download=False)
    assert dataset.classes == ("no", "yes")
    assert (dataset.test.images.int() - images.int()).abs().max() <= error
    found = [
        int((image.int() - images.int()).abs().sum((1, 2, 3)).argmin())
        for image in torch.cat([dataset.train.images, dataset.val.images])
    ]
    assert sorted(found) == list(range(20))
    assert [row % 2 for row in found] == torch.cat([dataset.train.labels, dataset.val.labels]).tolist()
    (tmp_path / "svhn/data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="holds 1 of the 2 files like train-00000-of-00002"):
        load_dataset("svhn", data_root=tmp_path, download=False)


def test_image_folder_of_many_sizes(tmp_path: Path) -> None:
    for split, count in (("train", 10), ("test", 2)):
        for label, name in enumerate(("forest", "sea")):
            folder = tmp_path / "eurosat" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((50 + number, 90, 3), 200 * label, np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.{'jpg' if number % 2 else 'png'}")
    dataset = load_dataset("eurosat", data_root=tmp_path, download=False)
    assert (dataset.channels, dataset.size, dataset.classes) == (3, 64, ("forest", "sea"))
    assert [len(getattr(dataset, split)) for split in SPLITS] == [18, 2, 4]
    assert all(
        (split.images.flatten(1)[:, 0] > 100).long().equal(split.labels) for split in (dataset.train, dataset.test)
    )
    (tmp_path / "eurosat/test/city").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "eurosat/test/city/1.png")
    with pytest.raises(InputError, match="class 'city' that the training images lack"):
        load_dataset("eurosat", data_root=tmp_path, download=False)


def test_tiny_imagenet_layout(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    folders = [
        root / "train/n01/images",
        root / "train/n02/images",
        root / "val/images",
        root / "test/images",
    ]
    for shade, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for number in range(6):
            Image.new("L" if number else "RGB", (64, 64), shade * 80 if number else (shade * 80,) * 3).save(
                folder / f"{number}.JPEG"
            )
    (root / "train/n01/n01_boxes.txt").write_text("0.JPEG\t0\t0\t1\t1\n")
    lines = [f"{number}.JPEG\tn0{number % 2 + 1}\t0\t0\t1\t1\n" for number in range(6)]
    (root / "val/val_annotations.txt").write_text("".join(lines))
    dataset = load_dataset("tiny_imagenet", data_root=tmp_path)
    assert dataset.classes == ("n01", "n02")
    assert dataset.test.labels.tolist() == [0, 1, 0, 1, 0, 1]  # the published test images have no labels
    assert dataset.train.images.amax((1, 2, 3)).div(70).long().equal(dataset.train.labels)


def test_torchvision_layout(tmp_path: Path) -> None:
    images = noise(20, 1, 28).squeeze(1).numpy()
    labels = (np.arange(20) % 10).astype(np.uint8)
    for part in ("train", "t10k"):
        idx(tmp_path / f"MNIST/raw/{part}-images-idx3-ubyte", images)
        idx(tmp_path / f"MNIST/raw/{part}-labels-idx1-ubyte", labels)
    dataset = load_dataset("mnist", data_root=tmp_path, download=False)
    assert np.array_equal(dataset.test.images.squeeze(1).numpy(), images)
    assert (len(dataset.train), len(dataset.val), dataset.classes) == (18, 2, tuple("0123456789"))
    assert available_datasets(tmp_path) == ("mnist", "digits", "glyphs", "parity", "sparse_parity")
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\0\0")
    with pytest.raises(InputError, match=r"torchvision cannot read MNIST in .* delete its files"):
        load_dataset("mnist", data_root=tmp_path)


def test_a_download_arrives_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, bytes] = {}

    def download(url: str, download_root: str, filename: str, md5: str) -> None:
        name = filename.removesuffix(".gz")
        if name.startswith("t10k-labels") and not served:
            raise URLError("connection reset")
        shape = (20, 28, 28) if "idx3" in name else (20,)
        idx(Path(download_root) / name, np.zeros(shape, np.uint8))
        (Path(download_root) / filename).write_bytes(gzip.compress(b"archive"))

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    with pytest.raises(
        InputError, match=r"'kmnist' is not in .* download failed \(.*connection reset.*glyphs, parity, sparse_parity$"
    ):
        load_dataset("kmnist", data_root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    served["all"] = b""
    assert len(load_dataset("kmnist", data_root=tmp_path).train) == 18
    assert len(list((tmp_path / "KMNIST/raw").iterdir())) == 4


def test_glyphs_are_the_same_every_time(few_glyphs: None, cache: Path) -> None:
    drawn = load_dataset("glyphs")
    assert np.array_equal(glyphs.draw_glyphs(range(7, 9)), glyphs.draw_glyphs(range(9))[7:])
    file = cache / glyphs.CACHE_FILE
    kept = file.read_bytes()
    assert load_dataset("glyphs").train.images.equal(drawn.train.images)
    for damaged in (b"", kept[:500], kept[:2000] + b"\0" * 64 + kept[2064:]):
        file.write_bytes(damaged)
        assert load_dataset("glyphs").train.images.equal(drawn.train.images)
        assert file.read_bytes() == kept
    assert [path.name for path in cache.iterdir()] == [glyphs.CACHE_FILE]
    assert drawn.classes == tuple("ABCDEFGHIJ") and drawn.train.labels.bincount().tolist() == [6] * 10
    assert drawn.train.images.flatten(1).amax(1).min() > 100  # no image is empty


def test_glyphs_without_a_cache(few_glyphs: None, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache folder should be")
    assert len(load_dataset("glyphs", train_images=5).train) == 5


def test_parities_are_of_the_bits_that_they_name() -> None:
    """Some `of` bits decide every label of every split; other numbers are other datasets."""
    dataset = load_dataset("parity-16-2")
    assert (dataset.channels, dataset.size, dataset.classes) == (1, 4, ("even", "odd"))
    bits = {split: getattr(dataset, split).images.flatten(1).div(255).long() for split in SPLITS}
    found = [
        pair
        for pair in itertools.combinations(range(16), 2)
        if all(bits[split][:, pair].sum(1).remainder(2).equal(getattr(dataset, split).labels) for split in SPLITS)
    ]
    assert len(found) == 1
    assert load_dataset("parity").train.images.equal(load_dataset("parity-36-3").train.images)
    for name, reason in (
        ("parity-15-3", "the first number is a square"),
        ("parity-16-17", "the second lies between 1 and the first"),
        ("parity-many", "name it as parity-BITS-OF"),
        ("parity-16-2-2", "name it as parity-BITS-OF"),
        ("mnist-3", "unknown dataset 'mnist-3': did you mean 'mnist'"),
    ):
        with pytest.raises(InputError, match=reason):
            load_dataset(name)


def test_what_is_said_of_a_dataset_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"unknown dataset 'cifar-10': did you mean 'cifar10'\? known are"):
        load_dataset("cifar-10")
    with pytest.raises(InputError, match="at least 1, not 0"):
        load_dataset("digits", train_images=0)
    with pytest.raises(InputError, match=r"the data root .*nowhere is not a folder"):
        load_dataset("mnist", data_root=tmp_path / "nowhere")
    with pytest.raises(
        InputError, match=r"torchvision has no download of it: put .*; available now are digits, glyphs, parity"
    ):
        load_dataset("tiny_imagenet", data_root=tmp_path)
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "mine"))
    assert default_data_root() == tmp_path / "mine"
    with pytest.raises(InputError, match=r"'mnist' is not in .*mine: put .*, or allow its download"):
        load_dataset("mnist", download=False)
    assert len(dataset_names()) == 14


def test_what_is_said_of_damaged_files(tmp_path: Path) -> None:
    file = tmp_path / "mnist/train-00000-of-00001.parquet"

    def said() -> str:
        with pytest.raises(InputError) as error:
            load_dataset("mnist", data_root=tmp_path, download=False)
        assert str(file) in str(error.value) and "\n" not in str(error.value)
        return str(error.value)

    good = encoded(noise(1, 1, 28)[0], "PNG")
    for bad, reason in (
        (b"GIF89a, or so it says", "no PNG, JPEG, WEBP image"),
        (good[:300], "cannot be decoded"),
        (None, "empty"),
    ):
        export(file, [*[good] * 13, bad])
        assert "image in row 13 of" in said() and reason in said()
    export(file, [good] * 20, label="class")
    assert "has no column named label or labels or fine_label, only image, coarse, class" in said()
    whole = file.read_bytes()
    file.write_bytes(whole[:400])
    assert "cannot be read" in said()
    file.write_bytes(whole[:40] + b"\xff" * 200 + whole[240:])
    assert "cannot be read" in said() or "no column" in said()


def test_a_row_of_a_zoo_says_the_channels_of_its_images() -> None:
    row = pd.Series({"dataset": "digits", "train_images": 20, "image_size": 8, "architecture": "mlp", "classes": 10})
    grey, rgb = (images_of(pd.concat([row, pd.Series({"channels": each})]), "test") for each in (1, 3))
    assert torch.equal(grey.images.expand(-1, 3, -1, -1), rgb.images) and torch.equal(grey.labels, rgb.labels)


def test_of_sparse_parities_the_control_bit_says_which_bits_decide() -> None:
    dataset, skills = load_dataset("sparse_parity-3-9-2-10"), get_dataset("sparse_parity-3-9-2-10").skills
    assert skills is not None and (dataset.channels, dataset.size) == (12, 1)
    assert len(set(skills.deciding.flatten().tolist())) == 3 * 2
    for split in (dataset.train, dataset.val, dataset.test):
        bits = dataset.normalise(split.images).flatten(1)  # as networks see them
        assert set(bits.unique().tolist()) == {0.0, 1.0} and (bits[:, :3].sum(1) == 1).all()
        asked = bits[:, :3].argmax(1)
        chosen = bits[:, 3:].gather(1, torch.from_numpy(skills.deciding)[asked])
        assert chosen.sum(1).remainder(2).long().equal(split.labels)
        share = asked.bincount() / len(asked)
        assert share.numpy() == pytest.approx(skills.frequencies, abs=0.03)
        assert bits[:, 3:].mean(0).numpy() == pytest.approx(0.5, abs=0.05)


def test_the_inputs_of_a_skill_are_all_there_are_or_always_the_same() -> None:
    few, many = SparseParity(2, 6, 2, 6), SparseParity(2, 40, 3, 6)
    inputs, parities = few.inputs(2)
    assert len(inputs.flatten(1).unique(dim=0)) == 2**6 and int(parities.sum()) == 2**5
    assert (inputs[:, 1] == 255).all() and (inputs[:, 0] == 0).all()
    assert len(many.inputs(1)[1]) == 20_000 and many.inputs(1)[0].equal(many.inputs(1)[0])
    assert not many.inputs(1)[0][:, 2:].equal(many.inputs(2)[0][:, 2:])
    assert (SparseParity(2, 6, 2, 6).deciding == SparseParity(2, 6, 2, 9).deciding).all()
    for name, reason in (
        ("sparse_parity-4-11-3-6", "the first times the third is at most the second"),
        ("sparse_parity-0-11-3-6", "its numbers are 1 or more"),
        ("sparse_parity-4-12-3-0", "its last number lies between 1 and 100"),
        ("sparse_parity-many", "name it as sparse_parity-SKILLS-BITS-OF-TENTHS"),
    ):
        with pytest.raises(InputError, match=reason):
            get_dataset(name)
    with pytest.raises(InputError, match="are 16 numbers and no pictures"):
        load_dataset("sparse_parity").fit(1, 28)
