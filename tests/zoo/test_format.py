"""docs/format.md, held against the code, and the conformance vectors, against a reader written from the page alone.

The reader (all that stands before the first test) uses nothing of zoobench.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

import zoobench
from zoo_generation.networks.architectures import Layout
from zoobench.populations import Tokenizer, TokenSet
from zoobench.populations.schema import TABLE
from zoobench.populations.validation import problems_of
from zoobench.zoo import Zoo, split_models
from zoobench.zoo.schema import ADDED, CHECKPOINTS, MODELS
from zoobench.zoo.validation import validate_zoo

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
VECTORS = Path(zoobench.__file__).parent / "conformance"

Entries = list[tuple[str, list[int]]]
Row = dict[str, Any]


def layers(entries: Entries, batch_norm: bool) -> list[tuple[str, str | None]]:
    """Names of each layer's entry and bias."""
    shapes = dict(entries)
    bias_of = {}
    for name, shape in entries:
        bias = name.replace("weight", "bias")
        if bias != name and shapes.get(bias) == shape[:1] and math.prod(shape):
            bias_of[name] = bias
    found = []
    for name, shape in entries:
        prefix = name[: name.rfind(".") + 1]
        skipped = name in bias_of.values() or not math.prod(shape) or name.endswith(("running_mean", "running_var"))
        if not skipped and (batch_norm or f"{prefix}running_mean" not in shapes):
            found.append((name, bias_of.get(name)))
    return found


def rows(entries: Entries, name: str, bias: str | None) -> list[list[int]]:
    """Places in the flat vector of each of a layer's rows."""
    places, at = {}, 0
    for entry, shape in entries:
        places[entry] = range(at, at + math.prod(shape))
        at += math.prod(shape)
    count = (*dict(entries)[name], 1)[0]
    columns = len(places[name]) // count
    cut = [list(places[name][row * columns : (row + 1) * columns]) for row in range(count)]
    return [[*row, places[bias][number]] for number, row in enumerate(cut)] if bias else cut


def tokenize(entries: Entries, size: int, batch_norm: bool) -> tuple[int, list[str], list[list[int]], list[list[int]]]:
    """The token size, layers, index and positions."""
    size = size or max((len(row) for layer in layers(entries, True) for row in rows(entries, *layer)), default=1)
    index, positions = [], []
    walked = layers(entries, batch_norm)
    for number, layer in enumerate(walked):
        for channel, row in enumerate(rows(entries, *layer)):
            for start in range(0, len(row), size):
                piece = row[start : start + size]
                positions.append([len(index), number, channel])
                index.append(piece + [-1] * (size - len(piece)))
    return size, [name for name, _ in walked], index, positions


def split(ids: list[str], seed: int) -> dict[str, str]:
    """The split of each model."""
    order = sorted(set(ids), key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).digest())
    train, val = round(0.7 * len(order)), round(0.85 * len(order))
    return {each: "train" if i < train else "val" if i < val else "test" for i, each in enumerate(order)}


def safetensors(file: Path) -> tuple[NDArray[np.float32], Entries]:
    """Weights and layout."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    begin, end = header["weights"]["data_offsets"]
    flat = np.frombuffer(content[8 + length :][begin:end], "<f4")
    return flat.reshape(header["weights"]["shape"]), json.loads(header["__metadata__"]["layout"])


def sums_hold(zoo: Path, file: Path) -> bool:
    lines = [line.split("  ") for line in file.read_text().splitlines()]
    names = [name for _, name in lines]
    right = [hashlib.sha256((zoo / name).read_bytes()).hexdigest() == digest for digest, name in lines]
    return names == sorted(names) and all(right)


def read_zoo(zoo: Path) -> dict[str, list[Row]]:
    """Models, and checkpoints with their weights."""
    models: dict[str, Row] = {}
    checkpoints = []
    for file in sorted((zoo / "models").glob("[!.]*.parquet")):
        members = pq.read_table(file).to_pylist()
        ids = ",".join(row["model_id"] for row in members)
        assert file.stem == hashlib.sha256(ids.encode()).hexdigest()[:16]
        assert sums_hold(zoo, zoo / "checksums" / f"{file.stem}.sha256")
        new = {row["model_id"]: row for row in members if row["model_id"] not in models}
        models |= new
        table = pq.read_table(zoo / "checkpoints" / file.name).to_pylist()
        if table:
            weights, _ = safetensors(zoo / "weights" / f"{file.stem}.safetensors")
        checkpoints += [row | {"weights": weights[row["row"]].tolist()} for row in table if row["model_id"] in new]
    return {"models": list(models.values()), "checkpoints": checkpoints}


def read_token_set(folder: Path) -> list[Row]:
    """Rows, of which the weights are taken from the file's bytes."""
    card = json.loads((folder / "tokens.json").read_text())
    assert card["format"] == "zoobench-tokens/1" and sums_hold(folder, folder / "SHA256SUMS")
    found = []
    for population in card["populations"]:
        file = folder / f"{population['name']}.parquet"
        content = file.read_bytes()
        assert len(content) == population["bytes"]
        size = sum(math.prod(shape) for _, shape in population["entries"])
        item = 4 if card["dtype"] == "float32" else 2
        weights = []
        metadata = pq.read_metadata(file)
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            column, count = group.column(0), group.num_rows
            begin = column.data_page_offset + column.total_compressed_size - count * size * item
            assert begin % 64 == 0
            weights += numbers(content[begin : begin + count * size * item], card["dtype"]).reshape(-1, size).tolist()
        table = pq.read_table(file).to_pylist()
        splits = [each for each in ("train", "val", "test") for _ in range(population["splits"][each])]
        assert [row["split"] for row in table] == splits
        assert {row["model_id"]: row["split"] for row in table} == split(
            [row["model_id"] for row in table], card["selection"]["split_seed"]
        )
        found += [
            row | {"population": population["name"], "weights": flat} for row, flat in zip(table, weights, strict=True)
        ]
    return found


def numbers(content: bytes, dtype: str) -> NDArray[np.float32]:
    if dtype == "bfloat16":
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(content, {"float32": "<f4", "float16": "<f2"}[dtype])


def recorded(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["model_id"], row.get("epoch", 0)))


@pytest.mark.parametrize("case", recorded("tokens.json")["cases"], ids=str)
def test_tokens(case: Row) -> None:
    entries, size = case["entries"], case["token_size"]
    expected = case["size"], case["layers"], case["index"], case["positions"]
    assert tokenize(entries, size, case["batch_norm"]) == expected
    ours = Tokenizer.of(Layout.of_shapes({name: tuple(shape) for name, shape in entries}), size, case["batch_norm"])
    index = ours.index.where(ours.mask, -1).tolist()
    assert (ours.token_size, list(ours.layers), index, ours.positions.tolist()) == expected


@pytest.mark.parametrize("case", recorded("splits.json")["cases"], ids=lambda case: str(len(case["ids"])))
def test_splits(case: Row) -> None:
    by_model = split(case["ids"], case["seed"])
    assert [by_model[each] for each in case["ids"]] == case["splits"]
    assert split_models(pd.Series(case["ids"]), case["seed"]).tolist() == case["splits"]


def test_the_zoo() -> None:
    path, expected, found = VECTORS / "zoo", recorded("expected.json")["zoo"], read_zoo(VECTORS / "zoo")
    assert validate_zoo(path).valid
    for table, schema in (("models", MODELS), ("checkpoints", CHECKPOINTS)):
        for row, wanted in zip(in_order(found[table]), in_order(expected[table]), strict=True):
            assert set(schema.names) - set(ADDED) <= row.keys()
            assert row | wanted == row
            assert all(row.get(name) is None for name in schema.names if name not in {"part", "row", *wanted})
    zoo, weights = Zoo(path), {}
    for _, rows in zoo.checkpoints.groupby("architecture"):
        names = zip(rows["model_id"], rows["epoch"], strict=True)
        weights |= dict(zip(names, zoo.weights(rows)[0].tolist(), strict=True))
    assert weights == {(row["model_id"], row["epoch"]): row["weights"] for row in expected["checkpoints"]}


@pytest.mark.parametrize("name", ["tokens-float32", "tokens-bfloat16"])
def test_the_token_sets(name: str) -> None:
    expected = recorded("expected.json")[name]
    found = read_token_set(VECTORS / name)
    assert [{key: row[key] for key in wanted} for row, wanted in zip(found, expected, strict=True)] == expected
    assert not list(problems_of(VECTORS / name))
    ours = torch.cat([population.weights.flatten() for population in TokenSet.read(VECTORS / name).populations])
    assert ours.tolist() == [value for row in expected for value in row["weights"]]


@pytest.mark.parametrize("schema", [MODELS, CHECKPOINTS, TABLE], ids=["models", "checkpoints", "token set"])
def test_every_column_is_on_the_page(schema: pa.Schema) -> None:
    lines = [
        f"| {field.name} | {field.type} | {'yes' if field.nullable else 'no'} | {field.metadata[b'meaning'].decode()} |"
        for field in schema
    ]
    assert "\n".join(["| column | type | null | meaning |", "|---|---|---|---|", *lines]) in PAGE.read_text()


def test_the_fields_of_the_cards_are_on_the_page() -> None:
    page = PAGE.read_text()
    fields = re.findall(r"^\| …?(\w+) \| (?:string|integer|boolean|object|list) \|[^|]*\|$", page, re.MULTILINE)
    zoo = {"imported", "generated", *json.loads((VECTORS / "zoo" / "zoo.json").read_text())}
    card = json.loads((VECTORS / "tokens-float32" / "tokens.json").read_text())
    assert set(fields) == zoo | set(card) | set(card["populations"][0])
    assert all(f"`{field}`" in page for field in (*card["selection"], *card["populations"][0]["splits"]))
