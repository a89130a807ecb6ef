"""Zoos of models on parts of the images, and of children that are trained on from a trunk's weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from zoo.test_validation import fit_sums

import zoobench as zb
from zoo_generation.data.load import ImageStore, load_images
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_model
from zoobench.populations import select_checkpoints, write_token_set
from zoobench.populations.evidence import Access, Evidence
from zoobench.zoo import Zoo, split_models
from zoobench.zoo.parts import part_file
from zoobench.zoo.schema import ADDED
from zoobench.zoo.splits import splits_of
from zoobench.zoo.validation import validate_zoo

SPEC = {
    "datasets": "digits",
    "architectures": "mlp",
    "width": 0.125,
    "optimizer": "sgd",
    "learning_rate": [0.05, 1e38],  # the latter diverges in the first epoch
    "seeds": 1,
    "epochs": 2,
    "train_images": 200,
    "fork": {
        "after": [0, 1],
        "part": [None, "classes-0-of-2", "classes-1-of-2"],
        "epochs": 1,
        "checkpoint_epochs": [0, 1],
    },
}
MODELS = {model.id: model for model in make_spec(SPEC).models()}


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return zb.build_zoo(**SPEC, out=tmp_path_factory.mktemp("forked") / "zoo")


@pytest.fixture
def copied(forked: Zoo, tmp_path: Path) -> Zoo:
    shutil.copytree(forked.path, tmp_path / "zoo")
    return Zoo(tmp_path / "zoo")


def weights(zoo: Zoo) -> dict[tuple[str, int], torch.Tensor]:
    table = zoo.checkpoints
    return dict(zip(zip(table["model_id"], table["epoch"], strict=True), zoo.weights(table)[0], strict=True))


def sound() -> list[ModelSpec]:
    """Children of the trunk that did not diverge."""
    return [model for model in MODELS.values() if model.parent and model.learning_rate < 1]


def test_children_are_in_the_tables_and_start_from_their_trunk(forked: Zoo) -> None:
    table, stored = forked.models.set_index("model_id"), weights(forked)
    assert set(table.index) == MODELS.keys() and len(sound()) == 6
    for child in sound():
        row = table.loc[child.id]
        assert (row["parent"], row["parent_epoch"]) == (child.parent, child.parent_epoch)
        assert row["data_part"] == child.part or (child.part is None and pd.isna(row["data_part"]))
        assert torch.equal(stored[child.id, 0], stored[child.parent, child.parent_epoch])
        assert not torch.equal(stored[child.id, 1], stored[child.id, 0])


def test_a_child_is_what_plain_training_makes_of_the_trunk_on_its_part(forked: Zoo) -> None:
    stored, layout = weights(forked), forked.weights(forked.checkpoints[:1])[1]
    for child in sound():
        start = layout.unflatten(stored[child.parent, child.parent_epoch])
        alone = train_model(child, load_images(dataset_key(child), None), start=start)
        torch.testing.assert_close(stored[child.id, 1], layout.flatten(alone.checkpoints[-1].state), atol=1e-4, rtol=0)


def test_children_of_a_trunk_that_diverged_before_count_as_diverged(forked: Zoo) -> None:
    orphans = {model.id for model in MODELS.values() if model.learning_rate > 1 and model.parent_epoch == 1}
    found = forked.models[forked.models["model_id"].isin(orphans)]
    assert len(found) == 3 and set(found["status"]) == {"diverged"} and set(found["classes"]) == {10}
    assert not orphans & set(forked.checkpoints["model_id"])


def test_a_build_that_was_cut_short_goes_on_to_the_same_weights(forked: Zoo, copied: Zoo) -> None:
    """Whatever was lost: a shard of trunks, one of children, or both."""
    of_part = copied.models.groupby("part")["parent"].count()
    for lost in (of_part[of_part == 0].index[:1], of_part[of_part > 0].index[:1], of_part.index):
        for part in lost:
            part_file(copied.path, "models", part).unlink()
        again = weights(zb.build_zoo(**SPEC, out=copied.path))
        assert again.keys() == weights(forked).keys()
        assert all(torch.equal(again[place], flat) for place, flat in weights(forked).items())


def test_grandchildren_start_from_children_and_learn_at_their_own_rate(tmp_path: Path) -> None:
    below = {"after": [1], "learning_rate": [0.01, 0.1], "epochs": 1, "checkpoint_epochs": [0, 1]}
    fork = {"after": [1], "epochs": 1, "fork": below}
    spec = SPEC | {"learning_rate": 0.05, "epochs": 1, "train_images": 64, "fork": fork}
    zoo = zb.build_zoo(**spec, out=tmp_path / "zoo")
    table, stored = zoo.models.set_index("model_id"), weights(zoo)
    (child,) = table.index[table["parent"].isin(table.index[table["parent"].isna()])]
    grandchildren = table[table["parent"] == child]
    assert sorted(grandchildren["learning_rate"]) == [0.01, 0.1] and len(table) == 4
    assert all(torch.equal(stored[name, 0], stored[child, 1]) for name in grandchildren.index)
    assert splits_of(table.reset_index()).nunique() == 1 and validate_zoo(zoo.path).valid


def test_a_family_is_in_one_split(forked: Zoo) -> None:
    """As many copies of the zoo's families as make splits, under other names."""
    copies = [
        forked.models.assign(**{name: forked.models[name] + f"-{copy}" for name in ("model_id", "parent")})
        for copy in range(30)
    ]
    table = pd.concat(copies, ignore_index=True)
    split = splits_of(table)
    family = table["parent"].fillna(table["model_id"])
    assert split.groupby(family).nunique().max() == 1 and set(split) == {"train", "val", "test"}
    trunks = table["parent"].isna()
    assert split[trunks].equals(split_models(table["model_id"][trunks]))  # as if there were no children


def test_validation_evaluates_models_on_their_own_part(forked: Zoo) -> None:
    report = validate_zoo(forked.path, recompute=len(forked.checkpoints))
    assert report.valid and len(report.recomputed) == 2 * len(forked.checkpoints)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("parent_epoch", 7, "after epoch 7, of which there is no checkpoint"),
        ("parent_epoch", None, "has one of 'parent' and 'parent_epoch'"),
        ("data_part", "half", "must be the text of a part"),
        ("image_size", 14, "is of another population than its parent"),
    ],
)
def test_children_that_cannot_be_are_told(copied: Zoo, column: str, value: object, sentence: str) -> None:
    child = next(child for child in sound() if child.parent_epoch == 1 and child.part)
    part = copied.models.set_index("model_id").loc[child.id, "part"]
    file = part_file(copied.path, "models", part)
    rows = pq.read_table(file)
    edited = [row | ({column: value} if row["model_id"] == child.id else {}) for row in rows.to_pylist()]
    pq.write_table(rows.from_pylist(edited, rows.schema), file)
    fit_sums(copied.path, part)
    assert any(sentence in str(problem) for problem in validate_zoo(copied.path).problems)


def test_a_parent_in_another_zoo_is_a_note(copied: Zoo) -> None:
    for part in copied.models.loc[copied.models["parent"].isna(), "part"].unique():
        for folder in ("models", "checkpoints", "weights", "checksums"):
            part_file(copied.path, folder, part).unlink(missing_ok=True)
    report = validate_zoo(copied.path)
    assert report.valid and any("12 models have a parent that is not in this zoo" in note for note in report.notes)


def test_a_population_knows_its_part_and_its_models_see_their_own(forked: Zoo, tmp_path: Path) -> None:
    (models,) = write_token_set(tmp_path / "tokens", select_checkpoints([forked])).populations
    assert models.row["data_part"] is None and {"data_part", "parent"} <= set(models.table)
    models = models.shown(Evidence(Access.IMAGES, ImageStore()))
    grams = models.evidence.moments(images=50).grams
    for part, rows in models.table.groupby("data_part", dropna=False):
        some = models.select(models.table["data_part"].isna() if pd.isna(part) else models.table["data_part"] == part)
        assert some.row["data_part"] == part or pd.isna(part)
        assert len(some.evidence.images()) == (200 if pd.isna(part) else len(load_part(part)))
        for name, of_some in some.evidence.moments(images=50).grams.items():
            torch.testing.assert_close(grams[name][rows.index.tolist()], of_some)


def load_part(part: str) -> torch.Tensor:
    return load_images(dataset_key(next(child for child in MODELS.values() if child.part == part)), None).train.images


def test_a_zoo_without_parts_or_children_is_stored_as_before(tmp_path: Path) -> None:
    plain = SPEC | {"learning_rate": 0.05, "epochs": 1, "fork": None}
    zoo = zb.build_zoo(**plain, out=tmp_path / "zoo")
    (part,) = zoo.models["part"]
    assert not set(ADDED) & set(pq.read_schema(part_file(zoo.path, "models", part)).names)
    assert not {"part", "fork"} & json.loads((tmp_path / "zoo" / "zoo.json").read_text())["spec"].keys()
    tokens = write_token_set(tmp_path / "tokens", select_checkpoints([zoo]))
    (file,) = (tmp_path / "tokens").glob("*.parquet")
    assert not set(ADDED) & set(pq.read_schema(file).names)
    assert tokens.populations[0].table[[*ADDED]].isna().all(axis=None)
