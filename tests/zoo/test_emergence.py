"""Zoos with skills: their columns are written, read and checked, and theory stands beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from zoo_generation.data import load_dataset
from zoo_generation.errors import InputError
from zoo_generation.training.models import with_skills
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
from zoobench.populations import TokenSet, select_checkpoints
from zoobench.populations.tokenset import write_token_set
from zoobench.theory.emergence import in_time
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.emergence import beside_theory, calibrated, emergence_plot, emergence_times, exposure_of, steps_of
from zoobench.zoo.parts import part_file, part_names
from zoobench.zoo.recomputation import evaluate_again
from zoobench.zoo.validation import validate_zoo

FIELDS = {
    **{"datasets": ["sparse_parity-2-6-2-6", "sparse_parity-1-6-2-6"], "architectures": "mlp_1", "activation": "relu"},
    **{"init": "small_normal", "optimizer": "sgd", "momentum": 0.0, "loss": "mse", "learning_rate": 0.05},
    **{"batch_size": 32, "train_images": 1000, "epochs": 30, "seeds": 4, "fixed_seeds": True},
    "checkpoint_epochs": [1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30],
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    sink = ZooSink(tmp_path_factory.mktemp("zoos") / "skills")
    sink.write_card("skills", {})
    for name in FIELDS["datasets"]:
        dataset = load_dataset(name, train_images=1000)
        models = make_spec(FIELDS | {"datasets": name}).models()
        sink.write(with_skills(train_models(models, dataset, len(models)), dataset))
    return Zoo(sink.path)  # type: ignore[arg-type]


def test_a_zoo_holds_what_was_measured(zoo: Zoo, tmp_path: Path) -> None:
    table = zoo.checkpoints
    two = table[table["dataset"] == "sparse_parity-2-6-2-6"]
    assert two[["skill_1", "skill_2", "skill_loss_1", "skill_loss_2"]].notna().all(axis=None)
    assert table[table["dataset"] != "sparse_parity-2-6-2-6"]["skill_2"].isna().all()
    assert (table["loss"] == "mse").all() and (table["momentum"] == 0).all() and (table["classes"] == 1).all()
    assert validate_zoo(zoo.path).valid
    found = evaluate_again(zoo, 6)
    assert not found.failures and len(found.results) == 12 and all(each.agrees for each in found.results)
    selected = select_checkpoints([zoo])
    write_token_set(tmp_path / "tokens", selected)
    for one, other in zip(
        TokenSet.read(tmp_path / "tokens").populations, TokenSet.load(selected).populations, strict=True
    ):
        assert (one.table["skill_1"] == other.table["skill_1"]).all() and one.table["skill_1"].max() > 0.9


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda column: pc.if_else(pc.greater(column, -9), float("inf"), column), "must be finite"),
        (lambda column: column.cast(pa.string()), "the column 'skill_1' is of type string, and must be double"),
    ],
)
def test_a_strength_is_a_finite_number(
    zoo: Zoo, tmp_path: Path, change: Callable[[pa.ChunkedArray], pa.ChunkedArray], sentence: str
) -> None:
    shutil.copytree(zoo.path, tmp_path / "zoo")
    file = part_file(tmp_path / "zoo", "checkpoints", part_names(tmp_path / "zoo")[0])
    table = pq.read_table(file)
    place = table.column_names.index("skill_1")
    pq.write_table(table.set_column(place, "skill_1", change(table["skill_1"])), file)
    sums = tmp_path / "zoo" / "checksums"
    for each in sums.iterdir():
        lines = [line for line in each.read_text().splitlines() if file.name not in line or "checkpoints" not in line]
        each.write_text("".join(f"{line}\n" for line in lines))
    assert any(sentence in str(problem) for problem in validate_zoo(tmp_path / "zoo").problems)


def test_theory_with_constants_of_one_skill_foretells_two(zoo: Zoo) -> None:
    speed, initial = calibrated(zoo.checkpoints)
    assert 0 < initial < 0.2 and speed > 0
    two = zoo.checkpoints[zoo.checkpoints["dataset"] == "sparse_parity-2-6-2-6"]
    times = emergence_times(two)
    median = times.groupby("skill")["exposure"].median()
    table = beside_theory(zoo).set_index(["dataset", "skill"])
    assert len(table) == 3 and (table["models"] == 4).all()
    assert table.loc["sparse_parity-2-6-2-6", "median"].to_numpy() == pytest.approx(median.to_numpy())
    assert table["ratio"].between(0.5, 2).all()
    one = table.loc[("sparse_parity-1-6-2-6", 1)]
    assert in_time(one["theory"], 1.0, rate=0.5, initial=initial, speed=speed) == pytest.approx(0.5)
    assert (times.pivot(index="model_id", columns="skill", values="exposure").diff(axis=1)[2].dropna() > 0).all()
    for skill, frequency in times.groupby("skill")["frequency"].first().items():
        there = in_time(median[skill], frequency, rate=0.5, initial=initial, speed=speed)
        assert 0.02 < there < 0.98, skill  # by theory it is emerging then
    svg = emergence_plot(zoo).svg
    assert svg == emergence_plot(zoo).svg and "skill 2" in svg and "sparse_parity-2-6-2-6, width 1" in svg


def test_steps_are_counted_from_what_models_saw(zoo: Zoo) -> None:
    table = pd.DataFrame({"epoch": [2, 2, 1], "batch_size": [32, 100, 4000], "train_images": [1000, 1000, None]})
    assert steps_of(table).tolist() == [64, 20, 25]
    assert steps_of(table.assign(subset_fraction=[0.5, None, None])).tolist() == [32, 20, 25]
    rows = zoo.checkpoints.head(3)
    assert exposure_of(rows) == pytest.approx(4 * 0.05 * 5 * 32 * np.array([1, 2, 3]))
    with pytest.raises(InputError, match="no models of a single skill"):
        calibrated(rows.assign(dataset="sparse_parity-2-6-2-6"))
