"""Merged and taught models that are none: other models under their name are marked, honest ones are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.groups import MadeUpImages
from leaderboard.test_partners import TRACK
from tasks.test_merging_groups import family
from tasks.test_transfer import Mixed, population

from zoo_generation.data.load import ImageStore
from zoobench.leaderboard.answers import setting_of
from zoobench.leaderboard.marks import marks_of
from zoobench.leaderboard.track import Track
from zoobench.methods.registry import get_method
from zoobench.tasks.answers import Weights

MERGING = {"task": "merging", "settings": {"differ": "data", "after": 1}, "zoos": {"family": None}}
MERGING |= {"training": ("family",), "targets": ("family",), "metrics": ("accuracy",), "seeds": 1}


def marks(track: Track, references: dict, answers: dict) -> tuple[str, ...]:
    return marks_of(Path(), track, references, answers, [])


@pytest.mark.parametrize("preset", ["average", "matched_average"])
def test_models_on_all_images_are_no_merged_models(preset: str) -> None:
    track, references = Track(**TRACK.model_dump() | MERGING), {"family": family(4)}
    task, setting = track.get_task(), setting_of(references, "family", 0, MadeUpImages())
    shown: list[set[object]] = []

    class Cheat:
        def merge(self, models, groups, bases, seed):  # type: ignore[no-untyped-def]
            shown.append(set(models.table["data_part"]))
            return models.weights[groups[:, 0]]

    task.ask(Cheat(), setting)
    assert None not in shown[0] and len(shown[0]) == 2  # models that were trained on all images are not shown
    honest = task.ask(get_method(preset).fit(None, 0, None), setting)
    assert marks(track, references, {("family", 0): honest}) == ()
    groups = task.groups(references["family"])
    joint = Weights(groups.models.weights[[rows[0] for rows in groups.joint()]])
    assert marks(track, references, {("family", 0): joint}) == ("copy of a test model (4 of 4 models)",)


def test_another_model_is_no_student() -> None:
    references = {"mlp": population("mlp", 4), "cnn_s": population("cnn_s", 4)}
    task = TRACK.get_task()
    answers = {
        (name, seed): task.ask(Mixed(), setting_of(references, name, seed, ImageStore()))
        for name in references
        for seed in TRACK.all_seeds
    }
    assert marks(TRACK, references, answers) == ()
    best = {key: Weights(each.weights[:1].expand_as(each.weights)) for key, each in answers.items()}
    (mark,) = marks(TRACK, references, best)
    assert mark.startswith("copy of a test model (")
