"""Tracks whose models are made of given ones, by teaching or merging: run, judged, marked and exported alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.groups import MadeUpImages
from safetensors import safe_open
from safetensors.torch import load_file
from tasks.test_merging_groups import CLASSES, family
from tasks.test_transfer import Mixed, population
from tasks.test_value import Random, zoo

from zoo_generation.data.load import ImageStore
from zoobench.evaluation.plan import Origin, Plan
from zoobench.leaderboard.answers import read_answers, setting_of, write_answers
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.marks import Known, marks_of
from zoobench.leaderboard.track import Track
from zoobench.methods.merging import TaskArithmetic
from zoobench.methods.registry import get_method
from zoobench.populations import Population
from zoobench.populations.planes import layout_like
from zoobench.tasks.answers import Weights
from zoobench.tasks.registry import get_task
from zoobench.zoo.source import Kind

NAMES = ("mlp", "cnn_s")
TRACK = Track(
    format="zoobench-track/1",
    name="transfer",
    title="A track",
    summary="For tests.",
    scale="two-cores",
    task="transfer",
    settings={"models": 4},
    zoos=dict.fromkeys(NAMES),
    training=NAMES,
    targets=NAMES,
    seeds=2,
    metrics=("delta", "success", "worst"),
    tolerance=1e-6,
    access="labels",
)


@pytest.fixture(scope="module")
def references() -> dict[str, Population]:
    """As a leaderboard keeps them: what judging reads, and training models, of which one asks nothing."""
    return {name: population(name, 4) for name in NAMES}


def test_a_submission_is_judged_as_a_run_is(references: dict[str, Population], tmp_path: Path) -> None:
    task = TRACK.get_task()
    settings = {(n, s): setting_of(references, n, s, ImageStore()) for n in NAMES for s in TRACK.all_seeds}
    answers = {key: task.ask(Mixed(), setting) for key, setting in settings.items()}
    write_answers(tmp_path / "weights.safetensors", TRACK, references, answers)
    kept = {name: task.reads(each) for name, each in references.items()}  # all that is recorded
    read = read_answers(TRACK, kept, TRACK.all_seeds, (tmp_path / "weights.safetensors").read_bytes())
    scores = judge(TRACK, kept, read, TRACK.all_seeds, None)
    for score in scores:
        observed = [task.judge(answers[score.target, s], settings[score.target, s]) for s in TRACK.all_seeds]
        assert list(score.values) == [task.score(each)[score.metric].value() for each in observed]


def test_students_may_be_alike_but_not_equal(references: dict[str, Population]) -> None:
    """Whoever teaches them, they stay close to what they were, and so to one another."""
    task = TRACK.get_task()
    found = [
        {(n, s): task.ask(Mixed(noise), setting_of(references, n, s, ImageStore())) for n in NAMES for s in (0, 1)}
        for noise in (1e-3, 2e-3)
    ]

    class Entry:
        name = "earlier"

    def marks(before: int) -> tuple[str, ...]:
        return marks_of(Path(), TRACK, references, found[1], [Known(Entry(), found[before])])  # type: ignore[arg-type]

    models = sum(len(each.weights) for each in found[1].values())
    assert marks(0) == () and marks(1) == (f"copy of earlier ({models} of {models} models)",)


def test_exports_say_who_is_taught_by_whom_and_nothing_else(references: dict[str, Population], tmp_path: Path) -> None:
    export_data(tmp_path / "out", TRACK, references, references, 288, None)
    asked = json.loads((tmp_path / "out" / "asked.json").read_text())
    weights = {}
    for name in NAMES:
        with safe_open(tmp_path / "out" / "test" / f"{name}.safetensors", "pt") as file:
            weights |= zip(json.loads(file.metadata()["checkpoints"]), file.get_tensor("weights"), strict=True)
    method = Mixed()
    TRACK.get_task().ask(method, setting_of(references, "cnn_s", 1, ImageStore()))
    for (student, teacher), row, (number,) in zip(
        asked["cnn_s/1"], method.students.weights, method.taught, strict=True
    ):
        assert torch.equal(weights[student], row)
        teachers = [model for each in method.teachers for model in each.weights]
        assert torch.equal(weights[teacher], teachers[int(number)])
    assert "val_labels" in load_file(tmp_path / "out" / "images" / "mlp.safetensors")


def test_exports_say_what_is_merged(tmp_path: Path) -> None:
    """What is written is enough to merge with a mean of one's own, and with the weights that all began as."""
    made = family()
    learned = made.table["model_id"].str.match("(?:trunk|child)-0")
    table = made.table.assign(dataset="digits", split=np.where(learned, "train", "test"))
    population = Population.of("digits", made.tokenizer, made.weights, table)
    settings = {"task": "merging", "settings": {"differ": "data", "after": 1}, "zoos": {"digits": None}}
    settings |= {"training": ("digits",), "targets": ("digits",), "metrics": ("accuracy",), "seeds": 1}
    track = Track(**TRACK.model_dump() | settings)
    export_data(tmp_path / "out", track, {"digits": population}, {"digits": population}, 288, None)
    setting = setting_of({"digits": population}, "digits", 0, MadeUpImages())
    merged = track.get_task().ask(get_method("average").fit(None, 0, None), setting).weights
    added = track.get_task().ask(get_method("task_arithmetic").fit(None, 0, TaskArithmetic(0.5)), setting).weights
    asked = json.loads((tmp_path / "out" / "asked.json").read_text())["digits/0"]
    with safe_open(tmp_path / "out" / "test" / "digits.safetensors", "pt") as file:
        weights = dict(zip(json.loads(file.metadata()["checkpoints"]), file.get_tensor("weights"), strict=True))
    models = pd.read_parquet(tmp_path / "out" / "models.parquet").set_index("checkpoint")
    bases = load_file(tmp_path / "out" / "bases" / "digits.safetensors")["0"]
    assert len(asked) == 2
    for names, base, mean, sum_of_changes in zip(asked, bases, merged, added, strict=True):
        mine = torch.stack([weights[name] for name in names])
        torch.testing.assert_close(mine.mean(0), mean)
        torch.testing.assert_close(base + 0.5 * (mine - base).sum(0), sum_of_changes)
        assert set(models.loc[names, "data_part"]) == set(CLASSES) and "test_accuracy" not in models


def test_cells_know_the_other_targets_if_the_task_reads_them() -> None:
    origins = [object.__new__(Origin) for _ in range(4)]
    for number, origin in enumerate(origins):
        object.__setattr__(origin, "name", f"zoo-{number}")
        kind = Kind("other" if number == 3 else "digits", "cnn_s", 1.0, 28, None, frozenset(), 1)
        object.__setattr__(origin, "kind", kind)
    kl, pca = get_method("kl"), get_method("pca_gaussian")
    tasks = [get_task("transfer"), get_task("generation")]
    plan = Plan.of({kl: None, replace(pca, learns=False): None}, [], origins, tasks, [0])
    others = {(cell.task.name, cell.target.name): [each.name for each in cell.others] for cell in plan.cells}
    assert others["transfer", "zoo-1"] == ["zoo-0", "zoo-2"] and others["generation", "zoo-1"] == []


def test_exports_say_which_networks_to_plug_into_what(tmp_path: Path) -> None:
    """What is written is enough to learn on the new images, and to know the order of the weights."""
    own, other = zoo(), zoo("cnn_s")
    references = {"mlp": own, "cnn_s": other}
    settings = {"task": "value", "settings": {"models": 2, "epochs": 1}, "metrics": ("gain_unseen", "gain_other")}
    settings |= {"seeds": 1}
    track = Track(**TRACK.model_dump() | settings)
    export_data(tmp_path / "out", track, references, references, 288, None)
    images = load_file(tmp_path / "out" / "images" / "cnn_s.safetensors")
    expected = ImageStore().of(other.onto("digits+inverted", 300).row, "train")
    assert torch.equal(images["train_images"], expected.images) and torch.equal(images["train_labels"], expected.labels)
    layout = json.loads((tmp_path / "out" / "layouts.json").read_text())["cnn_s"]
    assert layout == [[each.name, list(each.shape)] for each in layout_like(other.row)]
    task, method = track.get_task(), Random()
    keys = [(name, seed) for name in NAMES for seed in track.all_seeds]
    cells = {(name, seed): setting_of(references, name, seed, ImageStore()) for name, seed in keys}
    answers = {key: task.ask(method, each) for key, each in cells.items()}
    write_answers(tmp_path / "weights.safetensors", track, references, answers)
    asked = json.loads((tmp_path / "out" / "asked.json").read_text())["mlp/0"]
    kept = {name: task.reads(each) for name, each in references.items()}
    read = read_answers(track, kept, track.all_seeds, (tmp_path / "weights.safetensors").read_bytes())
    assert asked == task.members(setting_of(kept, "mlp", 0, ImageStore()))
    scores = {(each.target, each.metric): each for each in judge(track, kept, read, track.all_seeds, None)}
    ran = [task.score(task.judge(answers["mlp", seed], cells["mlp", seed])) for seed in track.all_seeds]
    for metric in track.metrics:
        assert list(scores["mlp", metric].values) == [each[metric].value() for each in ran]

    class Entry:
        name = "earlier"

    def marks(answers: dict[tuple[str, int], Weights], before: dict[tuple[str, int], Weights]) -> tuple[str, ...]:
        return marks_of(Path(), track, references, answers, [Known(Entry(), before)])  # type: ignore[arg-type]

    others = {key: replace(each, beside={"subtracted": each.beside["subtracted"] + 1}) for key, each in answers.items()}
    assert marks(answers, others) == () and marks(answers, answers) == ("copy of earlier (4 of 4 models)",)
