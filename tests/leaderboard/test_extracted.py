"""Tracks that ask for copies: entered from answers alone, and what is no copy but a model handed in is marked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.lineages import families
from safetensors.torch import load_file
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoobench.leaderboard.answers import read_answers, setting_of, write_answers
from zoobench.leaderboard.export import export_data
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.marks import marks_of
from zoobench.leaderboard.track import Track
from zoobench.methods.victims import Victims
from zoobench.populations import Access, Evidence, Population
from zoobench.tasks.answers import Weights
from zoobench.tasks.extraction import Extraction

TRACK = Track(
    format="zoobench-track/1",
    name="extraction",
    title="A track",
    summary="For tests.",
    scale="two-cores",
    task="extraction",
    settings={"victims": 4, "budgets": [8, 21], "told": ["labels", "logits"]},
    zoos={"zoo": None},
    training=("zoo",),
    targets=("zoo",),
    seeds=1,
    metrics=("agreement", "queries:logits:true", "advantage:logits:true"),
    tolerance=1e-6,
    access="images",
)
TASK = TRACK.get_task()
assert isinstance(TASK, Extraction)


@pytest.fixture(scope="module")
def zoo() -> Population:
    train, test = families(2, split="train", seed=10), families(4)
    table = pd.concat([train.table, test.table], ignore_index=True)
    models = Population.of("zoo", test.tokenizer, torch.cat([train.weights, test.weights]), table)
    return models.shown(Evidence(Access.IMAGES, ImageStore()))


class Noted:
    """Gives back what it was given, a little changed, and notes it and all answers to training images."""

    def __init__(self) -> None:
        self.bases: list[Tensor] = []
        self.answers: dict[str, Tensor] = {}

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        given = torch.zeros(len(victims), victims.target.layout.size) if bases is None else bases.weights
        self.bases.append(given)
        victims.left = 1000
        self.answers[victims.told] = victims.ask(victims.images)
        fresh = victims.target.new_models(len(victims), len(self.bases))
        return fresh if bases is None else given + 0.1 * fresh


def test_a_copy_is_made_from_outside_of_what_is_exported_and_of_no_victim(zoo: Population, tmp_path: Path) -> None:
    method, recorded = Noted(), {"zoo": TASK.reads(zoo)}
    setting = setting_of({"zoo": zoo}, "zoo", 0, ImageStore())
    inside = TASK.ask(method, setting)
    export_data(tmp_path / "data", TRACK, {"zoo": zoo}, recorded, 288, None)
    asked = pd.read_parquet(tmp_path / "data" / "asked.parquet")
    images, answers, bases = (
        load_file(tmp_path / "data" / each / "zoo.safetensors") for each in ("images", "answers", "bases")
    )
    assert torch.equal(bases["0"], torch.cat(method.bases)) and set(images) == {"train_images", "val_images"}
    assert answers.keys() == method.answers.keys()
    assert all(torch.equal(answers[told], method.answers[told]) for told in answers)
    assert len(asked) == len(bases["0"]) == 2 * 4 * 2 * 4
    assert asked.groupby(["base", "budget"])["left"].first().loc["identified"].tolist() == [4, 11]
    assert "the answers [victims, images, classes]" in (tmp_path / "data" / "README.md").read_text()
    victims = TASK.victims_of(zoo).weights
    (table,) = (tmp_path / "data" / "training").glob("*.parquet")
    assert set(pd.read_parquet(table, columns=["split"])["split"]) == {"train"}
    assert not any((bases["0"] == each).all(1).any() for each in victims)
    write_answers(tmp_path / TRACK.artefact, TRACK, {"zoo": zoo}, {("zoo", 0): inside})
    read = read_answers(TRACK, recorded, (0,), (tmp_path / TRACK.artefact).read_bytes())
    scores = judge(TRACK, recorded, read, (0,), None)
    expected = TASK.score(TASK.judge(inside, setting))
    assert [score.mean for score in scores] == [expected[metric].value() for metric in TRACK.metrics]


def test_models_handed_in_are_marked_and_copies_are_not(zoo: Population) -> None:
    references, setting = {"zoo": TASK.reads(zoo)}, setting_of({"zoo": zoo}, "zoo", 0, ImageStore())
    asked, method = TASK.copies(setting), Noted()
    honest = TASK.ask(method, setting).weights
    victims = TASK.victims_of(zoo).weights[asked["victim"].tolist()]

    def marks(weights: Tensor) -> tuple[str, ...]:
        return marks_of(Path(), TRACK, references, {("zoo", 0): Weights(weights)}, [])

    assert marks(honest) == ()
    nearly = victims + 1e-3 * honest
    aided = torch.from_numpy(asked["base"].isin(["true", "identified"]).to_numpy())
    assert marks(torch.where(aided[:, None], nearly, honest)) == ()  # from its parent a copy may come near its victim
    assert marks(nearly) == ("test model handed in (32 of 64 models)",)
    assert marks(victims) == ("test model handed in (64 of 64 models)",)
    free = torch.from_numpy((asked["base"] == "none").to_numpy())
    assert marks(torch.where(free[:, None], honest, torch.cat(method.bases))) == (
        "test model handed in (48 of 64 models)",
    )
