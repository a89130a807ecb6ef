"""Windows of tokens from memory and from mapped files, against tokens cut the slow way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from helpers.flat_models import narrow
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.progress import Progress, Update
from zoo_generation.training.cluster import ray_session
from zoobench.populations import Population, RandomWindows, Tokenizer, TokenSet, WindowBatch, Windows, write_token_set
from zoobench.populations import parquet as parquet_files
from zoobench.populations import rows as mapped_rows
from zoobench.populations.card import Dtype, SelectionCard
from zoobench.populations.parquet import DTYPES
from zoobench.populations.selection import Selection, Stored


def source(name: str, architecture: str, checkpoints: int, token_size: int) -> Stored:
    layout = get_architecture(architecture).layout(1, 10, narrow(architecture))
    weights = torch.randn(checkpoints, layout.size, generator=torch.Generator().manual_seed(checkpoints))
    table = pd.DataFrame({"model_id": [f"{name}{i // 2}" for i in range(checkpoints)], "epoch": range(checkpoints)})
    cut = np.array(["train", "val", "test"]).repeat([checkpoints - 4, 2, 2])
    return Stored(name, Tokenizer.of(layout, token_size), table.assign(split=cut), lambda rows: weights[rows])


def selected(token_size: int = 40) -> Selection:
    sources = (source("small", "cnn_s", 9, token_size), source("deep", "resnet18", 6, token_size))
    return Selection(token_size, True, SelectionCard(zoos=[], statuses=[], first_epoch=1, split_seed=0), sources)


def check(batch: WindowBatch, populations: tuple[Population, ...]) -> None:
    """Each window is the piece of its checkpoint's tokens that its positions say."""
    for i, (population, row) in enumerate(zip(batch.population.tolist(), batch.checkpoint.tolist(), strict=True)):
        of = populations[population]
        length = int(batch.mask[i].any(1).sum())
        first = int(batch.positions[i, 0, 0])
        window = slice(first, first + length)
        assert torch.equal(batch.tokens[i, :length].float(), of.tokens[row, window])
        assert torch.equal(batch.mask[i, :length], of.tokenizer.mask[window])
        assert torch.equal(batch.positions[i, :length], of.tokenizer.positions[window])
        assert not batch.tokens[i, length:].any() and not batch.mask[i, length:].any()


@given(token_size=st.integers(1, 300), length=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_windows_are_pieces_of_the_tokens(token_size: int, length: int, seed: int) -> None:
    populations = TokenSet.load(selected(token_size)).populations
    windows = Windows(populations, length)
    numbers = torch.randint(len(windows), (20,), generator=torch.Generator().manual_seed(seed))
    batch = windows[numbers]
    check(batch, populations)
    check(windows[int(numbers[0])], populations)


def test_every_window_is_there_once() -> None:
    populations = TokenSet.load(selected()).populations
    windows = Windows(populations, 5)
    batch = windows[torch.arange(len(windows))]
    places = torch.stack([batch.population, batch.checkpoint, batch.positions[:, 0, 0].long()], dim=1)
    assert len(places.unique(dim=0)) == len(windows) == sum(len(p) * (len(p.tokenizer) - 4) for p in populations)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mapped_token_set_is_the_one_in_memory(dtype: Dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several row groups, all but the last of three rows, and with pages given back after every few windows."""
    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 3)
    monkeypatch.setattr(mapped_rows, "RESIDENT", 1)
    chosen = selected()
    told: list[Update] = []
    tokens = write_token_set(tmp_path / "tokens", chosen, dtype, Progress(told.append))
    steps = [update for update in told if update.of]
    assert steps[-1].done == steps[-1].of == len(chosen) == 15 and len(steps) == 5
    for population, loaded in zip(tokens.populations, TokenSet.load(chosen).populations, strict=True):
        rounded = loaded.weights.to(DTYPES[dtype][0])
        assert population.rows.values.dtype == rounded.dtype
        assert torch.equal(population.weights, rounded.float())
        pd.testing.assert_frame_equal(population.table[list(loaded.table)], loaded.table)
        for split in ("train", "val", "test"):
            assert torch.equal(population.split(split).weights, rounded[loaded.table["split"].to_numpy() == split])
    windows = Windows(tokens.populations, 7)
    check(windows[torch.arange(0, len(windows), 3)], tokens.populations)


def test_random_windows_through_a_data_loader(tmp_path: Path) -> None:
    """The same batches with any number of workers; every checkpoint is equally likely."""
    tokens = write_token_set(tmp_path / "tokens", selected())
    windows = Windows(tokens.populations, 10)
    sampler = RandomWindows(windows, batch_size=50, batches=20, seed=3)
    here = list(DataLoader(windows, sampler=sampler, batch_size=None))
    there = list(DataLoader(windows, sampler=sampler, batch_size=None, num_workers=2, multiprocessing_context="fork"))
    assert len(here) == len(sampler) == 20
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(here, there, strict=True))
    counts = torch.cat([batch.population for batch in here]).bincount()
    assert abs(counts[0] / 1000 - 9 / 15) < 0.07  # four standard deviations of a binomial


def test_what_is_no_window_is_told(tmp_path: Path) -> None:
    populations = TokenSet.load(selected()).populations
    windows = Windows(populations, 5)
    for number in (-1, len(windows)):
        with pytest.raises(IndexError):
            windows[number]
    with pytest.raises(InputError, match="no checkpoints"):
        Windows(
            [population.split("train").select(np.zeros(len(population.split("train")))) for population in populations],
            5,
        )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_token_set(tmp_path / "tokens", selected())
    return tmp_path / "tokens"


def expected() -> tuple[torch.Tensor, list[str]]:
    population = TokenSet.load(selected()).populations[0]
    return population.weights, population.table["split"].tolist()


def test_pandas_reads_a_token_set(written: Path) -> None:
    table = pd.read_parquet(written / "small.parquet")
    weights, splits = expected()
    assert np.array_equal(np.stack(table["weights"]), weights) and table["split"].tolist() == splits
    assert pq.read_table(written / "small.parquet").column_names == list(table.columns)


def test_datasets_reads_a_token_set(written: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the package 'datasets' is not installed: pip install '.[test]'")
    file = str(written / "small.parquet")
    read = datasets.load_dataset("parquet", data_files=file, cache_dir=str(tmp_path / "cache"), split="train")
    weights, splits = expected()
    assert np.array_equal(read.with_format("numpy")["weights"][:], weights) and list(read["split"]) == splits


def test_ray_data_reads_a_token_set(written: Path) -> None:
    with ray_session(None, 2) as ray:
        rows = ray.data.read_parquet(str(written / "small.parquet")).take_all()
    weights, splits = expected()
    order = np.argsort([row["epoch"] for row in rows])
    assert np.array_equal(np.stack([rows[i]["weights"] for i in order]), weights)
    assert [rows[i]["split"] for i in order] == splits
