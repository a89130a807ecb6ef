"""Zoos of models on random subsets of the training images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from zoo.test_validation import fit_sums

import zoobench as zb
from zoo_generation.data.load import ImageStore
from zoo_generation.training.spec import make_spec
from zoobench.populations import select_checkpoints, write_token_set
from zoobench.populations.evidence import Access, Evidence
from zoobench.zoo import Zoo
from zoobench.zoo.parts import part_file
from zoobench.zoo.source import Source
from zoobench.zoo.splits import splits_of
from zoobench.zoo.validation import validate_zoo

SPEC = {
    "datasets": "digits",
    "architectures": "mlp",
    "width": 0.125,
    "learning_rate": 0.01,
    "subset_fraction": 0.3,
    "subset_seed": 4,
    "subsets": 12,
    "seeds": 2,
    "epochs": 1,
    "train_images": 60,
}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return zb.build_zoo(**SPEC, out=tmp_path_factory.mktemp("halves") / "zoo")


def test_tables_say_which_subset_a_model_saw(halves: Zoo, tmp_path: Path) -> None:
    assert validate_zoo(halves.path, recompute=3).valid
    (models,) = write_token_set(tmp_path / "tokens", select_checkpoints([halves])).populations
    assert sorted(models.table["subset_seed"]) == [4 + k for k in range(12) for _ in range(2)]
    assert set(models.table["subset_fraction"]) == {0.3}
    shown = models.shown(Evidence(Access.IMAGES, ImageStore())).evidence.images()
    assert len(shown) == 60  # all, so that a mask has one place for each
    assert not {"subset_seed", "subset_fraction"} & set(models.blind().table)


def test_all_models_of_a_subset_are_in_one_split(halves: Zoo, tmp_path: Path) -> None:
    table = halves.models
    split = splits_of(table)
    assert split.groupby(table["subset_seed"]).nunique().max() == 1
    assert split.value_counts().to_dict() == {"train": 16, "val": 4, "test": 4}
    assert Source.planned("halves", make_spec(SPEC), tmp_path).kinds[0].training_models == 16


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"subset_seed": None}, "row 0 has one of 'subset_fraction' and 'subset_seed'"),
        ({"subset_fraction": 1.0}, "must lie between 0 and 1"),
        ({"subset_seed": -1}, "may not be negative"),
    ],
)
def test_subsets_that_cannot_be_are_told(
    halves: Zoo, tmp_path: Path, change: dict[str, float | None], sentence: str
) -> None:
    shutil.copytree(halves.path, tmp_path / "zoo")
    part = halves.models["part"].iloc[0]
    file = part_file(tmp_path / "zoo", "models", part)
    rows = pq.read_table(file)
    first, *others = rows.to_pylist()
    pq.write_table(rows.from_pylist([first | change, *others], rows.schema), file)
    fit_sums(tmp_path / "zoo", part)
    assert any(sentence in str(problem) for problem in validate_zoo(tmp_path / "zoo").problems)
