"""Tracks that ask for scores: judged from what is recorded, and exported with what a method sees, and no more."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.lineages import families
from helpers.subset_models import bank_of
from safetensors.torch import load_file
from tasks.test_lineage import Noted

from zoo_generation.data.load import ImageStore
from zoobench.leaderboard.answers import read_answers, setting_of, write_answers
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.track import Track
from zoobench.populations import Population
from zoobench.tasks.base import AboutImages

FIELDS = {"format": "zoobench-track/1", "name": "lineage", "title": "A track", "summary": "For tests.", "seeds": 2}
FIELDS |= {"scale": "two-cores", "zoos": {"zoo": None}, "training": ("zoo",), "targets": ("zoo",), "tolerance": 1e-6}
TRACKS = [
    Track(**FIELDS, task="lineage", settings={"kinds": ["trained", "evaded"]}, metrics=("top1", "tpr:evaded")),
    Track(**FIELDS, task="model_tree", settings={"families": 2}, metrics=("edge_f1", "roots")),
]


@pytest.fixture(scope="module")
def zoo() -> Population:
    train, test = families(2, split="train", seed=10), families(4)
    table = pd.concat([train.table, test.table], ignore_index=True)
    return Population.of("zoo", test.tokenizer, torch.cat([train.weights, test.weights]), table)


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.task)
def test_scores_are_judged_from_what_is_recorded(track: Track, zoo: Population, tmp_path: Path) -> None:
    task, path = track.get_task(), tmp_path / track.artefact
    settings = {("zoo", seed): setting_of({"zoo": zoo}, "zoo", seed, ImageStore()) for seed in track.all_seeds}
    answers = {key: task.ask(Noted(), setting) for key, setting in settings.items()}
    write_answers(path, track, {"zoo": zoo}, answers)
    recorded = {"zoo": task.reads(zoo)}
    read = read_answers(track, recorded, track.all_seeds, path.read_bytes())
    for score in judge(track, recorded, read, track.all_seeds, None):
        observed = [task.judge(answers[key], setting) for key, setting in settings.items()]
        assert list(score.values) == [task.score(each)[score.metric].value() for each in observed]


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.task)
def test_what_is_exported_is_what_a_method_sees(track: Track, zoo: Population, tmp_path: Path) -> None:
    task, method = track.get_task(), Noted()
    task.ask(method, setting_of({"zoo": zoo}, "zoo", 0, ImageStore()))
    export_data(tmp_path / "data", track, {"zoo": zoo}, {"zoo": task.reads(zoo)}, 288, None)
    found = load_file(tmp_path / "data" / "compared" / "zoo.safetensors")
    assert torch.equal(found["rows"], method.children.weights)
    assert torch.equal(found["columns"], method.candidates.weights)
    names = json.loads((tmp_path / "data" / "asked.json").read_text())["zoo"]
    assert [len(found[each]) for each in ("rows", "columns")] == [len(names[each]) for each in ("rows", "columns")]
    (table,) = (tmp_path / "data" / "training").glob("*.parquet")
    assert pd.read_parquet(table, columns=["parent"])["parent"].notna().any()
    assert "compared/<target>.safetensors" in (tmp_path / "data" / "README.md").read_text()


ABOUT = FIELDS | {"access": "labels"}
OF_SUBSETS = [
    Track(**ABOUT, task="attribution", settings={"evaluated": "all", "images": 5}, metrics=("lds",)),
    Track(**ABOUT, task="membership", settings={"evaluated": "all", "models": 4}, metrics=("auc",)),
]


@pytest.mark.parametrize("track", OF_SUBSETS, ids=lambda track: track.task)
def test_what_is_asked_of_models_on_subsets_is_exported(track: Track, tmp_path: Path) -> None:
    task, target = track.get_task(), bank_of(8, 2, first=100)
    export_data(tmp_path / "data", track, {"zoo": bank_of()}, {"zoo": task.reads(target)}, 288, None)
    names = json.loads((tmp_path / "data" / "asked.json").read_text())["zoo"]
    images = load_file(tmp_path / "data" / "images" / "zoo.safetensors")
    readme = (tmp_path / "data" / "README.md").read_text()
    train = ImageStore().of(target.row, "train")
    assert torch.equal(images["train_images"], train.images) and len(names["columns"]) == len(train.labels)
    if isinstance(task, AboutImages):
        numbers, asked = task.asked(setting_of({"zoo": target}, "zoo", 0, ImageStore()))
        assert names["rows"] == [str(number) for number in numbers.tolist()]
        assert torch.equal(images["asked_images"], asked.images) and torch.equal(images["asked_labels"], asked.labels)
        assert "`asked_images`" in readme and not (tmp_path / "data" / "test").exists()
    else:
        weights = load_file(tmp_path / "data" / "test" / "zoo.safetensors")["weights"]
        assert [hashlib.sha256(each.numpy().tobytes()).hexdigest()[:16] for each in weights] == names["rows"]
        assert "asked_images" not in images and "in the order of rows" in readme
