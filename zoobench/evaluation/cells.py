"""Fits and measurements of plans, one piece at a time, cached by content and shared between plans."""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.files import read_json, write_json
from zoo_generation.kept import check, is_kept, sealed
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.networks.program import device_of
from zoo_generation.progress import QUIET, Progress
from zoobench import __version__
from zoobench.evaluation.metering import Meter, metered
from zoobench.evaluation.plan import Cell, Fit, Origin, TrainingSet
from zoobench.evaluation.trainings import chosen, key_of
from zoobench.methods.fitting import FIT, fit_kept
from zoobench.methods.granting import granted
from zoobench.methods.identity import digest_of
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population, TokenSet, select_checkpoints, write_token_set
from zoobench.populations.selection import Selection, Stored
from zoobench.tasks.answers import Answer, Predictions, Scores, Weights
from zoobench.tasks.base import Setting, Task
from zoobench.zoo.workspace import Workspace

CELL = "cell.json"
"""What a piece depends on and how many seconds it took, saved beside it."""

BESIDE = "beside/"
"""Of the names of what is handed in with models, before each."""

AGAIN = "run the same command again, which makes it again"


@dataclass(frozen=True)
class Cells:
    """Where the pieces of plans are made and kept.

    folder: of the kept pieces; tokens: the token set of each population, by the name of its origin, in a folder named
    by its content; names: the name under which methods know each population; architectures: import paths of users'
    architectures, which workers import too; device: where methods run.
    """

    folder: Path
    tokens: Mapping[str, Path]
    names: Mapping[str, str]
    architectures: tuple[str, ...] = ()
    data_root: Path | None = None
    device: str = "cpu"

    def __getstate__(self) -> dict[str, Any]:
        """What workers receive: not what this process opened."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _opened(self) -> dict[str, TokenSet]:
        return {}

    @cached_property
    def _chosen(self) -> dict[str, TokenSet]:
        return {}

    @cached_property
    def images(self) -> ImageStore:
        """Where images are read from."""
        return ImageStore(self.data_root)

    @property
    def token_size(self) -> int:
        """Numbers in a token; the same for all populations."""
        return self._token_set(next(iter(self.tokens))).token_size

    def population(self, origin: Origin) -> Population:
        """All models of a population, without checkpoints that ran away."""
        return replace(self._token_set(origin.name).populations[0], name=self.names[origin.name])

    def training(self, training: TrainingSet) -> TokenSet:
        """The contents of a training set. Raises `InputError` if its populations have too few models."""
        if training.name not in self._chosen:
            populations = [self.population(origin) for origin in training.origins]
            self._chosen[training.name] = chosen(training, populations, self.token_size)
        return self._chosen[training.name]

    def fit_path(self, fit: Fit) -> Path:
        """Where a fitted method is kept."""
        method = fit.method
        made_of = (method.name, method.version, method.identity(fit.config), fit.seed)
        return self.folder / "fits" / _key(*made_of, self._content(fit.on))

    def cell_path(self, cell: Cell) -> Path:
        """Where the results of a cell are kept."""
        read = [(self.names[each.name], self.tokens[each.name].name) for each in (cell.target, *cell.others)]
        made_of = (self.fit_path(cell.fit).name, self._content(cell.sources), *_identity(cell.task))
        return self.folder / "cells" / _key(*made_of, *itertools.chain(*read))

    def fit(self, fit: Fit, progress: Progress = QUIET) -> Any:
        """The kept method, or one fitted now; an interrupted fit goes on where it stopped."""
        if fit.on is None:
            return fit.method.fit(TokenSet(self.token_size, ()), fit.seed, fit.config)
        return fit_kept(
            fit.method,
            fit.config,
            self.training(fit.on),
            fit.seed,
            self.fit_path(fit),
            device=self.device,
            images=self.images,
            beside={FIT: {"method": fit.method.name, "composition": fit.on.name, "seed": fit.seed}},
            progress=progress,
        )

    def measure(self, cell: Cell) -> None:
        """Ask and judge, unless that was done already, and keep what came of it: nothing, if the task cannot be done in
        such a setting.

        Raises `InputError` if the answer has not the form that the task asks for.
        """
        path = self.cell_path(cell)
        if is_kept(path):
            return
        started, meter, answer, observations = time.monotonic(), Meter(), None, pd.DataFrame()
        try:
            setting = self._setting(cell)
            method = metered(self.fit(cell.fit), meter)
            answer = cell.task.ask(method, setting)
            cell.task.form(setting).check(answer)
            observations = cell.task.judge(answer, setting)
        except InapplicableError:
            answer = None
        with sealed(path) as aside:
            observations.to_parquet(aside / "observations.parquet", index=False)
            if answer is not None:
                _write(answer, aside)
            about = {"name": cell.name, "task": cell.task.name, "task_version": cell.task.version}
            took = {"seconds": round(time.monotonic() - started, 1), **asdict(meter)}
            write_json(aside / CELL, about | took)

    def _setting(self, cell: Cell) -> Setting:
        """What a task may read in a cell. Only this function grants evidence to a method for a measurement."""
        method, allowed = cell.fit.method, cell.task.access
        sources = () if cell.sources is None else self.training(cell.sources).populations
        target, *others = (
            granted(method, self.population(each), allowed, self.images) for each in (cell.target, *cell.others)
        )
        shown = tuple(granted(method, each, allowed, self.images) for each in sources)
        return Setting(target, shown, cell.fit.seed, self.images, self.device, tuple(others))

    def observations(self, cell: Cell) -> pd.DataFrame:
        """The observations of a cell; empty if there are none."""
        path = self.cell_path(cell)
        if not path.exists():
            return pd.DataFrame()
        check(path, "observations", AGAIN)
        return pd.read_parquet(path / "observations.parquet")

    def answer(self, cell: Cell) -> Answer | None:
        """The method's answer in a cell. None if no answer is kept, or the method could not be asked."""
        path = self.cell_path(cell)
        if not path.exists():
            return None
        check(path, "the answer", AGAIN)
        return _read(path)

    def seconds(self, fits: Sequence[Fit], cells: Sequence[Cell]) -> float:
        """Seconds that the existing pieces among these took to make, each by itself."""
        paths = {self.fit_path(fit) / FIT for fit in fits} | {self.cell_path(cell) / CELL for cell in cells}
        return sum(float(read_json(path, "the record of a piece")["seconds"]) for path in paths if path.exists())

    def parameters(self, fit: Fit) -> int | None:
        """Number of parameters in the files of a kept method. None if it learns nothing, or is not kept."""
        if fit.on is None or not (path := self.fit_path(fit)).exists():
            return None
        total = 0
        for file in path.rglob("*.safetensors"):
            with safe_open(file, framework="pt") as content:
                for name in content.keys():  # noqa: SIM118 – not a mapping
                    total += math.prod(content.get_slice(name).get_shape())
        return total

    def cost(self, cell: Cell) -> dict[str, float]:
        """What a cell cost: fit_core_seconds, NaN if its method learns nothing; asked_core_seconds, CPU time inside the
        method while it was asked, with the number of models that it was asked about or made. NaN if it is not kept."""
        asked = _record(self.cell_path(cell) / CELL)
        fit = {} if cell.fit.on is None else _record(self.fit_path(cell.fit) / FIT)
        nothing = float("nan")
        return {
            "fit_core_seconds": fit.get("core_seconds", nothing),
            "asked_core_seconds": asked.get("core_seconds", nothing),
            "models": asked.get("models", nothing),
        }

    def import_architectures(self) -> None:
        """Import the users' architectures that the process of the plan had imported."""
        for name in self.architectures:
            import_architecture(name)

    def _token_set(self, name: str) -> TokenSet:
        if name not in self._opened:
            check(self.tokens[name], "the token set", AGAIN)
            self._opened[name] = TokenSet.read(self.tokens[name]).bounded()
        return self._opened[name]

    def _content(self, training: TrainingSet | None) -> str:
        """Changes if a training set changes, or any model of its populations."""
        if training is None:
            return ""
        return _key(key_of(self.training(training)), *(self.tokens[origin.name].name for origin in training.origins))


def prepare(origins: Sequence[Origin], workspace: Workspace, progress: Progress = QUIET) -> Cells:
    """Build the missing zoos of populations that are to be built, and make the missing token sets.

    All token sets have the same token size: the length of the longest row of all.
    """
    for source in dict.fromkeys(source for origin in origins for source in origin.zoos):
        source.build(workspace, progress)
    zoos = {source: source.zoo() for origin in origins for source in origin.zoos}
    statuses = tuple(dict.fromkeys(status for origin in origins for status in origin.statuses))
    size = select_checkpoints(list(zoos.values()), statuses=statuses).token_size
    tokens, known_as = {}, {}
    for sources, kept in dict.fromkeys((origin.zoos, origin.statuses) for origin in origins):
        selected = select_checkpoints([zoos[source] for source in sources], size, statuses=kept)
        for origin in (each for each in origins if (each.zoos, each.statuses) == (sources, kept)):
            of_origin = _of(origin, selected)
            alone = replace(selected, sources=(of_origin,))
            path = (workspace.runs / "tokens" / alone.digest).absolute()
            if not is_kept(path):
                progress.stage(f"tokenizing {origin.name}")
                write_token_set(path, alone)
            tokens[origin.name], known_as[origin.name] = path, of_origin.name
    often = Counter(known_as.values())
    return Cells(
        folder=(workspace.runs / "pieces").absolute(),
        tokens=tokens,
        names={origin: name if often[name] == 1 else origin for origin, name in known_as.items()},
        architectures=tuple(sorted({each.kind.architecture for each in origins if ":" in each.kind.architecture})),
        data_root=None if workspace.data_root is None else workspace.data_root.absolute(),
        device=device_of(workspace.device),
    )


def _of(origin: Origin, selected: Selection) -> Stored:
    """The population of an origin, among selected ones."""
    for each in selected.sources:
        if not origin.kind.ids.isdisjoint(each.table["model_id"]):
            return each
    raise InputError(
        f"no model of '{origin.name}' is {' or '.join(origin.statuses)}; train it with other settings, or leave it out"
    )


def _write(answer: Answer, folder: Path) -> None:
    """Write an answer beside its observations."""
    if isinstance(answer, Predictions):
        answer.table.to_parquet(folder / "predictions.parquet", index=False)
    elif isinstance(answer, Weights):
        made = {"weights": answer.weights, "of_copies": answer.of_copies}
        made |= {BESIDE + name: values for name, values in answer.beside.items()}
        tensors = {name: each.contiguous() for name, each in made.items() if each is not None}
        save_file(tensors, folder / "weights.safetensors")
        if answer.draws is not None:
            answer.draws.to_parquet(folder / "draws.parquet", index=False)
    else:
        save_file({"values": answer.values.contiguous()}, folder / "scores.safetensors")
        write_json(folder / "scores.json", {"rows": list(answer.rows), "columns": list(answer.columns)})


def _read(folder: Path) -> Answer | None:
    """A written answer. None if there is none."""
    if (folder / "predictions.parquet").exists():
        return Predictions(pd.read_parquet(folder / "predictions.parquet"))
    if (folder / "weights.safetensors").exists():
        draws = folder / "draws.parquet"
        tensors = load_file(folder / "weights.safetensors")
        table = pd.read_parquet(draws) if draws.exists() else None
        beside = {name.removeprefix(BESIDE): each for name, each in tensors.items() if name.startswith(BESIDE)}
        return Weights(tensors["weights"], table, tensors.get("of_copies"), beside)
    if (folder / "scores.safetensors").exists():
        names = read_json(folder / "scores.json", "the names of scores")
        values = load_file(folder / "scores.safetensors")["values"]
        return Scores(values, tuple(names["rows"]), tuple(names["columns"]))
    return None


def _record(path: Path) -> dict[str, Any]:
    """The record of a piece; empty if there is none."""
    return read_json(path, "the record of a piece") if path.exists() else {}


def _identity(task: Task) -> tuple[str, int, str, str]:
    """What decides how a task is measured: its name, version and settings, and how it is written if it is of another
    package or a notebook, which changes while it is being written."""
    return task.name, task.version, repr(task), digest_of(type(task))


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:16]
