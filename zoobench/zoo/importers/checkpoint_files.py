"""Find the file with the weights in a checkpoint's folder, whatever tool wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoobench.zoo.importers.columns import spelled
from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.found import inside, read_object, shown_name
from zoobench.zoo.importers.state import State, read_safetensors, read_state

SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
HUGGING_FACE = (SAFETENSORS, INDEX, "pytorch_model.bin")
"""Files of weights in the folders of Hugging Face's tools; the first that exists counts."""

WEIGHTS = {"", ".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl", ".pickle", ".safetensors", ".npz", ".th", ".model"}
BESIDE = {"optimizer", "optim", "opt", "scheduler", "sched", "scaler", "rng", "args", "metadata", "stats", "config"}
"""Words in the names of files that lie beside weights."""


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights named as Hugging Face's tools do."""
    return any((folder / name).exists() for name in HUGGING_FACE)


def hugging_face_weights(folder: Path) -> State:
    """The weights in such a folder, in one file or in shards. Raises `RejectedError`."""
    name = next((name for name in HUGGING_FACE if (folder / name).exists()), SAFETENSORS)
    if name != INDEX:
        return read_state(folder / name)
    shards = read_object(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise RejectedError(f"its {INDEX} has no weight_map")
    return read_safetensors((_shard(folder, shard) for shard in sorted(set(shards.values()))), shards.keys())


def _shard(folder: Path, name: str) -> Path:
    file = inside(folder, name)
    if not file.is_file():
        raise RejectedError(f"its shard {file.name} is missing")
    return file


def only_weights(folder: Path, named: str) -> State:
    """The weights in a folder: in the file of that name, or else in the only file that may hold some.

    Raises `RejectedError` if there is none, or several.
    """
    if (folder / named).exists():
        return read_state(folder / named)
    if has_weights(folder):
        return hugging_face_weights(folder)
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _may_be_weights(path)]
    if len(files) != 1:
        raise RejectedError(f"its file {folder.name}/{named} is missing{_others(files)}")
    return read_state(inside(folder, files[0].name))


def _may_be_weights(file: Path) -> bool:
    words = set(spelled(file.stem).split("_"))
    return not file.name.startswith(".") and file.suffix.lower() in WEIGHTS and not words & BESIDE


def _others(files: Sequence[Path]) -> str:
    if not files:
        return ""
    names = ", ".join(map(shown_name, files))
    return f", and any of {names:.200} may hold its weights: leave the one that is meant"
