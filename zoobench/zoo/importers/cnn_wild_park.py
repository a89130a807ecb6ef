"""The CNN Wild Park: networks of many architectures on CIFAR-10, divided as the neural-graphs and ProbeGen papers do.

cnn_park_splits.json                      for train, val and test: lists `path`, `score` (test accuracy), `step`
<…>/<model>/<checkpoint>/checkpoint.pt    as `path` says, here or in cnn_wild/: `model`, a state dict, and `config`

A model is the folder around its checkpoints. Steps count from 0, after one epoch of training. Only listed checkpoints
come in. A network's layers are in the name of its architecture, see `wild_cnn`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures.wild_cnn import ACTIVATIONS, LAYERS, WildLayer, wild_name
from zoobench.zoo.importers.columns import model_columns, needed
from zoobench.zoo.importers.files import RejectedError, open_inside, read_inside
from zoobench.zoo.importers.found import Candidate, FoundCheckpoint, FoundModel, SourceLayout, inside
from zoobench.zoo.importers.kinds import kind_of
from zoobench.zoo.importers.pickles import StandIn, is_size
from zoobench.zoo.importers.state import first_line, read_state
from zoobench.zoo.importers.torch_files import read_archive
from zoobench.zoo.schema import CHECKPOINTS

SPLITS_FILE = "cnn_park_splits.json"
LIST = 256 << 20  # bytes of the list, at most: that of 117,000 checkpoints has about 20 MiB
DEPTH = 8  # of nodes that hold each other, at most
STEP, SCORE = CHECKPOINTS.field("epoch").type, CHECKPOINTS.field("test_accuracy").type
NEEDED = ("channels", "kernel_size", "stride", "padding", "residual", "activation")


@dataclass(frozen=True)
class ParkCheckpoint:
    """A line of the list: file, test accuracy, number of epochs less one, split; unchecked but for the split."""

    path: str
    score: Any
    step: Any
    split: str


def _matches(folder: Path) -> bool:
    return (folder / SPLITS_FILE).is_file()


def _candidates(folder: Path) -> list[Candidate]:
    try:
        listed = _listed(json.loads(read_inside(folder / SPLITS_FILE, LIST)))
    except (RejectedError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{folder / SPLITS_FILE} cannot be read as the list of the CNN Wild Park ({error}); download it again"
        ) from None
    models: dict[str, list[ParkCheckpoint]] = defaultdict(list)
    for each in listed:
        models[str(PurePosixPath(each.path).parent.parent)].append(each)
    place = folder / "cnn_wild" if (folder / "cnn_wild").is_dir() else folder
    return [Candidate(name, partial(_read, place, name, found)) for name, found in models.items()]


CNN_WILD_PARK = SourceLayout(
    _matches,
    _candidates,
    summary=f"the CNN Wild Park: {SPLITS_FILE} and the checkpoint.pt files that it lists",
    paper="Kofinas et al., Graph Neural Networks for Learning Equivariant Representations, arXiv 2403.12143",
)


def _listed(content: dict[str, dict[str, list[Any]]]) -> list[ParkCheckpoint]:
    found = []
    for split in ("train", "val", "test"):
        of = content[split]
        for path, score, step in zip(of["path"], of["score"], of["step"], strict=True):
            found.append(ParkCheckpoint(str(path), score, step, split))
    return found


def _read(folder: Path, name: str, listed: Sequence[ParkCheckpoint]) -> FoundModel:
    if len(splits := {each.split for each in listed}) > 1:
        raise RejectedError(f"its checkpoints are in several splits ({', '.join(sorted(splits))})")
    by_epoch = {needed(each.step, STEP, "step") + 1: each for each in listed}
    if len(by_epoch) < len(listed):
        raise RejectedError("two of its checkpoints are of one step")
    measured = {epoch: {"test_accuracy": needed(by_epoch[epoch].score, SCORE, "score")} for epoch in sorted(by_epoch)}
    files = {epoch: inside(folder, by_epoch[epoch].path) for epoch in measured}
    config = _config(next(iter(files.values())))
    layers = _layers(config)
    activations = {layer.activation for layer in layers}
    row, told = model_columns(
        {
            "dataset": "cifar10",
            "architecture": wild_name(layers),
            "activation": activations.pop() if len(activations) == 1 else None,
            "epochs": max(measured),
            "image_size": 32,
        },
        name,
    )
    return FoundModel(
        name=name,
        row=row,
        whole=False,
        source={"layout": "cnn_wild_park", "name": name, "params": config, "split": listed[0].split},
        history=list(measured.items()),
        checkpoints=[
            FoundCheckpoint(epoch, measured[epoch], partial(read_state, file)) for epoch, file in files.items()
        ],
        told=told,
    )


def _config(file: Path) -> dict[str, Any]:
    """The configuration in a checkpoint, as plain values. Raises `RejectedError`."""
    with open_inside(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if kind_of(opened, size, file.name) != "archive":
            raise RejectedError(f"its {file.name} is not of torch.save")
        try:
            content, _ = read_archive(opened, size)
        except RejectedError:
            raise
        except Exception as error:  # a damaged archive leads to BadZipFile, struct.error and others
            raise RejectedError(f"its {file.name} is cut short or damaged ({first_line(error)})") from None
    config = _inner(content.get("config")) if isinstance(content, dict) else None
    lists = {name: _inner(config.get(name)) for name in NEEDED} if isinstance(config, dict) else {}
    if not lists or not all(isinstance(given, list | tuple) for given in lists.values()):
        raise RejectedError(f"its {file.name} has no config with the lists {', '.join(NEEDED)}")
    return {name: _values(name, given) for name, given in lists.items()}


def _inner(value: Any) -> Any:
    """What a node of OmegaConf or a dataclass holds, through nodes that hold nodes."""
    for _ in range(DEPTH):
        if not isinstance(value, StandIn):
            break
        state = value.state if isinstance(value.state, dict) else {}
        value = next((state[key] for key in ("_content", "_val") if key in state), value.items or state)
    return value


def _values(name: str, given: Sequence[Any]) -> list[Any]:
    """A list of the configuration as numbers, or as texts for activations. Raises `RejectedError`.

    Nothing else is converted: a pickle may share lists that would have no end if they were written out.
    """
    if len(given) > LAYERS + 1:
        raise RejectedError(
            f"the {name} of its config are {len(given):,}; networks of the park have {LAYERS} layers at most"
        )
    values = [_inner(each) for each in given]
    numbers = name != "activation"
    if not all((is_size(each) or each == -1) if numbers else isinstance(each, str) for each in values):
        raise RejectedError(f"the {name} of its config are not all {'whole numbers' if numbers else 'names'}")
    return values


def _layers(config: dict[str, list[Any]]) -> list[WildLayer]:
    """The layers of a configuration. Raises `RejectedError` if one is not of the park's kind."""
    layers = []
    lists = (config[name] for name in NEEDED[1:])
    try:
        for width, kernel, stride, padding, residual, activation in zip(config["channels"][1:], *lists, strict=True):
            if stride != 1 or padding != kernel // 2 or activation not in ACTIVATIONS:
                raise RejectedError(
                    f"it has a layer of stride {stride!r:.20}, padding {padding!r:.20} and {activation!r:.40}; layers "
                    f"of the park have stride 1, half the kernel as padding, and one of {', '.join(ACTIVATIONS)}"
                )
            layers.append(WildLayer(width, kernel, activation, None if residual < 0 else residual))
    except ValueError:
        raise RejectedError("its config does not say the same number of layers throughout") from None
    return layers
