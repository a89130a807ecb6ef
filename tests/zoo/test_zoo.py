"""Zoos and token sets on disk: what is written is read back, and damage is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.training.sink import Checkpoint, Metrics, Status, TrainedModel
from zoo_generation.training.spec import make_spec
from zoobench.populations import TokenSet, select_checkpoints, write_token_set
from zoobench.zoo import Zoo, ZooSink, latest_zoo, split_models


def trained(
    architecture: str, seeds: int, epochs: int = 2, status: Status = "trained", width: float | None = None
) -> list[TrainedModel]:
    """Models of random weights, as a trainer hands them over."""
    width = width or (0.0625 if architecture == "resnet18" else 1.0)
    spec = make_spec(
        {"datasets": "digits", "architectures": architecture, "width": width, "learning_rate": 1e-3}
        | {"seeds": seeds, "epochs": epochs}
    )
    models = []
    for model in spec.models():
        layout = get_architecture(architecture).layout(1, 10, model.width)
        generator = torch.Generator().manual_seed(model.seed)
        checkpoints = [
            Checkpoint(
                epoch,
                Metrics(*torch.rand(6, generator=generator).tolist()),
                layout.unflatten(torch.randn(layout.size, generator=generator)),
            )
            for epoch in range(epochs + 1)
        ]
        models.append(TrainedModel(model, status, 1.0, 1, 10, tuple(checkpoints)))
    return models


def two_architectures(path: Path, small: int, large: int) -> Zoo:
    """A zoo of so many cnn_s and narrow ResNet-18, of random weights."""
    sink = ZooSink(path)
    sink.write_card("zoo", {})
    for models in (trained("cnn_s", small), trained("resnet18", large)):
        sink.write(models)
    return Zoo(path)


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    sink = ZooSink(tmp_path / "zoo")
    sink.write_card("zoo", {})
    models = [*trained("cnn_s", 7), *trained("resnet18", 3)]
    for part in (models[:3], models[3:7], models[7:]):
        sink.write(part)
    assert sink.done() == {model.spec.id for model in models}
    return Zoo(tmp_path / "zoo")


def test_what_is_written_is_read(zoo: Zoo) -> None:
    assert len(zoo.models) == 10 and len(zoo.checkpoints) == 30
    for architecture in ("cnn_s", "resnet18"):
        table = zoo.checkpoints[zoo.checkpoints["architecture"] == architecture].sample(frac=1, random_state=0)
        weights, layout = zoo.weights(table)
        expected = {
            (model.spec.id, checkpoint.epoch): (layout.flatten(checkpoint.state), checkpoint.metrics)
            for model in trained(architecture, 7)
            for checkpoint in model.checkpoints
        }
        for row, flat in zip(table.to_dict("records"), weights, strict=True):
            state, metrics = expected[row["model_id"], row["epoch"]]
            assert torch.equal(flat, state)
            assert row["test_accuracy"] == metrics.test_accuracy and row["train_loss"] == metrics.train_loss


def test_the_same_models_again_replace_their_part(zoo: Zoo) -> None:
    ZooSink(zoo.path).write(trained("cnn_s", 3))
    assert len(Zoo(zoo.path).models) == 10


def test_a_part_without_its_models_does_not_count(zoo: Zoo) -> None:
    """A worker killed between its files leaves weights and checkpoints, and no models: nothing was lost or gained."""
    part = next((zoo.path / "models").glob("*.parquet"))
    gone = pd.read_parquet(part)["model_id"]
    part.unlink()
    assert not set(gone) & set(Zoo(zoo.path).checkpoints["model_id"])
    assert not set(gone) & ZooSink(zoo.path).done()


def test_token_set_splits_by_model_and_survives_the_disk(zoo: Zoo, tmp_path: Path) -> None:
    selected = select_checkpoints([zoo])
    tokens, again = TokenSet.load(selected), write_token_set(tmp_path / "tokens", selected)
    assert again.token_size == tokens.token_size
    assert [p.name for p in again.populations] == ["digits-cnn_s-1x28", "digits-resnet18-w0.0625-1x32"]
    for population, other in zip(tokens.populations, again.populations, strict=True):
        assert torch.equal(population.tokens, other.tokens)
        assert torch.equal(population.tokenizer.positions, other.tokenizer.positions)
        pd.testing.assert_frame_equal(population.table, other.table)
        assert (population.table["epoch"] > 0).all()
        assert (population.table.groupby("model_id")["split"].nunique() == 1).all()


def test_the_same_zoo_twice_counts_once(zoo: Zoo) -> None:
    once, twice = TokenSet.load(select_checkpoints([zoo])), TokenSet.load(select_checkpoints([zoo, zoo]))
    assert [len(population) for population in once.populations] == [len(population) for population in twice.populations]


def test_diverged_models_are_in_the_zoo_and_not_in_the_tokens(tmp_path: Path) -> None:
    sink = ZooSink(tmp_path)
    sink.write_card("zoo", {})
    sink.write(trained("cnn_s", 2, status="diverged"))
    assert (Zoo(tmp_path).models["status"] == "diverged").all()
    with pytest.raises(InputError, match="no trained checkpoint"):
        TokenSet.load(select_checkpoints([Zoo(tmp_path)]))


@given(st.integers(1, 200), st.integers(0, 5))
def test_splits_are_70_15_15_and_do_not_depend_on_order(models: int, seed: int) -> None:
    ids = pd.Series([f"model{i}" for i in range(models) for _ in range(2)])
    split = split_models(ids, seed)
    assert (split[::2].to_numpy() == split[1::2].to_numpy()).all()
    shares = split.value_counts() / len(ids)
    assert abs(shares.get("train", 0) - 0.70) <= 0.5 / models + 1e-9
    assert abs(shares.get("test", 0) - 0.15) <= 0.5 / models + 1e-9
    backwards = split_models(ids[::-1], seed)
    assert (backwards.sort_index() == split).all()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble_card(path: Path) -> None:
    path.write_text("{")


def newer_card(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "zoobench-zoo/9"}))


@pytest.mark.parametrize(
    ("pattern", "harm", "sentence"),
    [
        ("weights/*.safetensors", cut, "the weights .* are damaged"),
        ("models/*.parquet", cut, "the table .* is damaged"),
        ("checkpoints/*.parquet", Path.unlink, "the table .* is damaged"),
        ("zoo.json", garble_card, "not JSON"),
        ("zoo.json", newer_card, "format 'zoobench-zoo/9'"),
        ("zoo.json", Path.unlink, "is not a zoo"),
    ],
)
def test_damage_is_told_in_a_sentence(zoo: Zoo, pattern: str, harm: Callable[[Path], None], sentence: str) -> None:
    harm(next(zoo.path.glob(pattern)))
    with pytest.raises(InputError, match=sentence) as error:
        TokenSet.load(select_checkpoints([Zoo(zoo.path)]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["tokens.json", "digits-cnn_s-1x28.parquet"])
def test_a_damaged_token_set_is_told(zoo: Zoo, tmp_path: Path, name: str) -> None:
    write_token_set(tmp_path / "tokens", select_checkpoints([zoo]))
    cut(tmp_path / "tokens" / name)
    with pytest.raises(InputError, match="is damaged"):
        TokenSet.read(tmp_path / "tokens")


def test_the_latest_zoo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="zoobench build-zoo"):
        latest_zoo(tmp_path)
    for name, built in (("a", "2026-01-02T00:00:00+00:00"), ("b", "2026-01-01T00:00:00+00:00")):
        ZooSink(tmp_path / name).write_card(name, {})
        card = tmp_path / name / "zoo.json"
        card.write_text(json.dumps(json.loads(card.read_text()) | {"built": built}))
    assert latest_zoo(tmp_path) == tmp_path / "a"
