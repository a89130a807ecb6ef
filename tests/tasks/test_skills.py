"""Skills as properties: the ceiling reaches them, the floor is theory, and a forecast shows no late weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.measuring import observed, values
from helpers.skilled import SKILLS, WIDTH, knowing, layout

from zoobench.methods.baselines import FlatWeights, Hyperparameters, LayerStatistics, TrainingMean
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.skills import EmergenceLaw, MeasuredSkills
from zoobench.populations import Population, Tokenizer
from zoobench.tasks.base import Setting
from zoobench.tasks.skills import SkillForecast, SkillPrediction
from zoobench.theory.emergence import in_time

EPOCHS, RATES = (2, 5, 12, 30), (0.02, 0.05)
NAMES = ["skill_1", "skill_2", "skill_3"]


def population(models: int = 48, noise: float = 0.0) -> Population:
    """Models whose skills emerge by the law, each a little early or late, with networks that know so much of each."""
    random, rows, weights = np.random.default_rng(0), [], []
    for number in range(models):
        rate, speed = RATES[number % 2], 0.3 * np.exp(noise * random.standard_normal(3))
        for epoch in EPOCHS:
            steps = 10 * epoch
            known = in_time(steps, SKILLS.frequencies * speed, rate=2 * rate, strength=5.0, initial=0.01)
            split = ("train", "train", "val", "test")[number // 2 % 4]
            row = {"model_id": f"m{number}", "epoch": epoch, "learning_rate": rate, "split": split}
            rows.append(row | dict(zip(NAMES, known, strict=True)))
            weights.append(knowing(known.tolist()))
    fixed = {"dataset": SKILLS.name, "architecture": "mlp_1", "width": WIDTH, "image_size": 1, "channels": 13}
    fixed |= {"classes": 1, "activation": "relu", "batch_size": 32, "train_images": 320, "optimizer": "sgd"}
    table = pd.DataFrame(rows).assign(**fixed, train_accuracy=0.9, test_accuracy=0.9)
    return Population.of("skilled", Tokenizer.of(layout(), 288), torch.stack(weights), table)


@pytest.fixture(scope="module")
def varied() -> Population:
    return population(noise=0.3)


def test_the_ceiling_reads_skills_and_the_floor_knows_their_mean(varied: Population) -> None:
    task, setting = SkillPrediction(), Setting(varied)
    ceiling = values(task, observed(task, MeasuredSkills(), setting))
    assert min(ceiling["r2:skills"], *(ceiling[f"r2:{name}"] for name in NAMES)) > 0.99
    assert ceiling["accuracy:skills"] > 0.97 and ceiling["change:skill_1"] < 0.01
    floor = values(task, observed(task, TrainingMean(), setting))
    assert floor["r2:skills"] == pytest.approx(0, abs=0.1)
    assert floor["r2:skills"] < values(task, observed(task, Hyperparameters(), setting))["r2:skills"] < 1


def test_r2_of_all_skills_is_within_skills(varied: Population) -> None:
    task = SkillPrediction()
    observations = observed(task, LayerStatistics(), Setting(varied))
    rows = observations[observations["property"].isin(NAMES)].astype({"truth": float, "predicted": float})
    groups = [own for _, own in rows.groupby("property")]
    errors = sum(((own["truth"] - own["predicted"]) ** 2).sum() for own in groups)
    spreads = sum(((own["truth"] - own["truth"].mean()) ** 2).sum() for own in groups)
    scores = values(task, observations)
    assert scores["r2:skills"] == pytest.approx(1 - errors / spreads)
    right = (rows["truth"] > 0.5) == (rows["predicted"] > 0.5)
    assert scores["accuracy:skills"] == pytest.approx(right.mean())
    assert scores["accuracy:skill_2"] == pytest.approx(right[rows["property"] == "skill_2"].mean())
    assert "r2:boosted_skills" in scores


def test_the_law_foretells_what_follows_it_and_the_mean_of_what_varies(varied: Population) -> None:
    lawful, task = population(), SkillPrediction()
    assert values(task, observed(task, EmergenceLaw(), Setting(lawful)))["r2:skills"] > 0.999
    r2 = values(task, observed(task, EmergenceLaw(), Setting(varied)))["r2:skills"]
    assert 0.8 < r2 < 0.99
    with pytest.raises(InapplicableError, match="predicts strengths of skills"):
        EmergenceLaw().predict_from(lawful.table.assign(dataset="digits"), np.zeros(len(lawful)), lawful.table)


def test_a_forecast_is_of_the_last_epoch_from_the_weights_of_an_early_one(varied: Population) -> None:
    task, setting = SkillForecast(after=5), Setting(varied)
    test = varied.split("test").table
    last = test[test["epoch"] == 30].set_index("model_id")
    observations = observed(task, FlatWeights(), setting)
    plain = observations[observations["property"] == "skill_3"].set_index("model")
    assert set(plain["epoch"]) == {5} and len(plain) == len(last)
    assert (plain["truth"] == last.loc[plain.index, "skill_3"]).all()
    rows = task.reads(varied).table
    assert set(rows["epoch"]) == {5, 30} and set(rows["split"]) == {"test"}
    judged = task.judge(task.ask(FlatWeights(), setting), Setting(task.reads(varied)))  # as a leaderboard has it
    pd.testing.assert_frame_equal(judged, observations)
    asked = set(task.form(setting).items["checkpoint"])
    assert asked == set(varied.split("test").names[(test["epoch"] == 5).to_numpy()])


def test_late_weights_do_not_matter_to_a_forecast(varied: Population) -> None:
    late = torch.tensor((varied.table["epoch"] > 2).tolist())
    other = varied.with_weights(torch.where(late[:, None], 0.0, varied.weights))
    task = SkillForecast()
    pd.testing.assert_frame_equal(*(observed(task, MeasuredSkills(), Setting(each)) for each in (varied, other)))


def test_a_zoo_without_skills_is_inapplicable(varied: Population) -> None:
    bare = varied.with_table(varied.table.drop(columns=NAMES))
    for task in (SkillPrediction(), SkillForecast()):
        with pytest.raises(InapplicableError, match="has no skills"):
            task.ask(FlatWeights(), Setting(bare))
    with pytest.raises(InapplicableError, match="skills of skilled are not known"):
        MeasuredSkills().embed(varied.with_table(varied.table.assign(dataset="digits")))
