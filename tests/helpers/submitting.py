"""A small leaderboard of two tracks on a zoo of digits, and honest submissions to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from safetensors.torch import save_file

from zoo_generation.data.load import load_images
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
from zoobench.leaderboard import Entry, Track, read_track
from zoobench.leaderboard.board import add
from zoobench.leaderboard.reference import write_reference
from zoobench.leaderboard.verification import verified
from zoobench.methods.baselines import Anchors, LayerStatistics, SpectralStatistics, WeightDensity
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.tasks.answers import Answer, Predictions, Weights
from zoobench.tasks.base import Setting
from zoobench.zoo import Zoo, ZooSink

ZOOS = ["digits-a", "digits-b"]
SPEC = {"datasets": "digits", "learning_rate": [0.001, 0.003], "seeds": 7, "epochs": 2, "train_images": 300}
COMMON = {
    "format": "zoobench-track/1",
    "title": "A track",
    "summary": "For tests.",
    "scale": "two-cores",
    "zoos": dict.fromkeys(ZOOS),
    "training": ZOOS,
    "targets": ZOOS,
    "seeds": 2,
    "tolerance": 1e-6,
    "note": "All.",
}
TRACKS: dict[str, dict[str, Any]] = {
    "property": {
        "task": "property_prediction",
        "metrics": ["r2:test_accuracy", "tau:test_accuracy", "accuracy:learning_rate"],
    },
    "generation": {
        "task": "generation",
        "settings": {"drawn": 4, "kept": 3, "selection_images": 50},
        "metrics": ["kept_mean", "diversity"],
    },
}
HONEST = {"property": LayerStatistics(), "generation": WeightDensity()}
EARLIER = {"property": SpectralStatistics(), "generation": Anchors()}
Outcomes = dict[tuple[str, int], Answer]
COLUMNS = ["target", "seed", "checkpoint", "property", "predicted", "predicted_class"]


@dataclass(frozen=True)
class Board:
    """Leaderboards with an entry `earlier` on each track, and honest submissions in folders that are named as theirs.

    outcomes, earlier: what methods answered on each track, by target and seed; entries: what verification makes of the
    honest ones.
    """

    path: Path
    population: Population
    honest: Path
    outcomes: dict[str, Outcomes]
    earlier: dict[str, Outcomes]
    entries: dict[str, Entry]

    def track(self, name: str) -> Track:
        return read_track(self.path, name)


def make_board(path: Path) -> Board:
    """Train a zoo, write its references, submit."""
    specs = make_spec(SPEC).models()
    sink = ZooSink(path / "zoo")
    sink.write_card("digits", {})
    sink.write(train_models(specs, load_images(dataset_key(specs[0]), None), 64))
    (population,) = TokenSet.load(select_checkpoints([Zoo(path / "zoo")])).populations
    leaderboards = path / "leaderboards"
    for name, fields in TRACKS.items():
        (leaderboards / name).mkdir(parents=True)
        (leaderboards / name / "track.yaml").write_text(yaml.safe_dump(COMMON | fields))
    tracks = {name: read_track(leaderboards, name) for name in TRACKS}
    for zoo in ZOOS:
        spec = leaderboards / "zoos" / zoo / "zoo.yaml"
        spec.parent.mkdir(parents=True)
        spec.write_text(yaml.safe_dump(SPEC))
        asking = [track.get_task() for track in tracks.values()]
        write_reference(leaderboards / "zoos" / zoo / "reference", zoo, population, asking, 288)
    outcomes = {name: observe(track, population, HONEST[name]) for name, track in tracks.items()}
    earlier = {name: observe(track, population, EARLIER[name]) for name, track in tracks.items()}
    for name, track in tracks.items():
        write_submission(path / "honest" / name, track, outcomes[name])
        add(leaderboards, track, write_submission(path / "earlier" / name, track, earlier[name], name="earlier"), None)
    entries = {name: judged(leaderboards, track, path / "honest" / name, None) for name, track in tracks.items()}
    return Board(leaderboards, population, path / "honest", outcomes, earlier, entries)


def observe(track: Track, population: Population, method: Any) -> Outcomes:
    """What the method answers; of predictions with the names under which checkpoints are asked for."""
    names = population.table.assign(model=population.table["model_id"], checkpoint=population.names)
    outcomes: Outcomes = {}
    for target in ZOOS:
        for seed in track.all_seeds:
            answer = track.get_task().ask(method, Setting(population, (population.without("test"),), seed))
            if isinstance(answer, Predictions):
                asked = answer.table[["model", "epoch"]].merge(names, how="left")
                answer = Predictions(answer.table.assign(checkpoint=asked["checkpoint"].to_numpy()))
            outcomes[target, seed] = answer
    return outcomes


def write_submission(folder: Path, track: Track, outcomes: Outcomes, **fields: Any) -> Path:
    """A method's submission, as a user would write it."""
    folder.mkdir(parents=True)
    tables, weights = [], {}
    for (target, seed), answer in outcomes.items():
        if isinstance(answer, Weights):
            weights[f"{target}/{seed}"] = answer.weights.contiguous()
        elif isinstance(answer, Predictions):
            wanted = answer.table["property"].isin(track.properties)
            tables.append(answer.table[wanted].assign(target=target, seed=seed))
    if weights:
        save_file(weights, folder / track.artefact)
    else:
        pd.concat(tables)[COLUMNS].to_parquet(folder / track.artefact, index=False)
    entry = {
        "format": "zoobench-submission/1",
        "track": track.name,
        "name": "honest",
        "method": "An honest method",
        "authors": ["A. Author"],
        "licence": "CC-BY-4.0",
        "seeds": sorted({seed for _, seed in outcomes}),
        "task_version": track.task_version,
        "date": "2026-01-31",
        "artefact": {"sha256": "0" * 64, "bytes": 1},
    }
    write_entry(folder, entry | fields)
    seal(folder)
    return folder


def judged(leaderboards: Path, track: Track, path: Path, data_root: Path | None, fetch: bool = False) -> Entry:
    """The entry of a submission as verification makes it."""
    return verified(leaderboards, track, path, data_root, fetch).entry


def write_entry(folder: Path, entry: Any) -> None:
    (folder / "entry.json").write_text(json.dumps(entry))


def read_fields(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "entry.json").read_text()))


def change(folder: Path, **fields: Any) -> None:
    """Other fields in the entry."""
    write_entry(folder, read_fields(folder) | fields)


def artefact(folder: Path) -> Path:
    return folder / ("predictions.parquet" if "property" in read_fields(folder)["track"] else "weights.safetensors")


def seal(folder: Path) -> None:
    """Let the entry describe the artefact correctly."""
    content = artefact(folder).read_bytes()
    told = read_fields(folder)["artefact"]
    change(folder, artefact=told | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": max(1, len(content))})


def rewrite(folder: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], **options: Any) -> None:
    """Other predictions, with an entry that describes them correctly."""
    edit(pd.read_parquet(artefact(folder))).to_parquet(artefact(folder), index=False, **options)
    seal(folder)


def fingerprint(folder: Path) -> str:
    """Paths, kinds and contents of everything in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path.relative_to(folder)}:{path.lstat().st_mode}:".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
