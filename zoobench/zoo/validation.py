"""Find everything that is wrong with a zoo: every error becomes a `Problem`, and nothing is raised."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, files_in, write_json
from zoo_generation.names import file_name
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import percent, shown
from zoobench.zoo.card import Card, card_of
from zoobench.zoo.family_validation import check_families
from zoobench.zoo.inspection import wanted_models
from zoobench.zoo.landscape.validation import check_landscape, landscape_files
from zoobench.zoo.part_validation import PartFindings, Problem, check_part, read, told
from zoobench.zoo.parts import FOLDERS, SUFFIXES, asked_at_once, part_names
from zoobench.zoo.recomputation import Recomputation, Recomputed, evaluate_again
from zoobench.zoo.schema import POPULATION
from zoobench.zoo.sink import TEMPORARY
from zoobench.zoo.store import Zoo

OF_A_ZOO = {"zoo.json", ".lock", ".builder.json", *FOLDERS}


@dataclass(frozen=True)
class Check:
    """What was checked, the number of checks, and the number of problems found."""

    name: str
    count: int
    of: str
    problems: int


@dataclass(frozen=True)
class ValidationReport:
    """A zoo is valid if it has no problems; notes are informational.

    recomputed: the checkpoints that were evaluated again.
    """

    name: str
    path: str
    checks: tuple[Check, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    recomputed: tuple[Recomputed, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.problems

    @property
    def verdict(self) -> str:
        """Whether the zoo is valid, in one sentence."""
        if self.valid:
            return f"{shown(self.path)} is valid"
        if len(self.problems) == 1:
            return f"{shown(self.path)} is not valid: {self.problems[0]}"
        return f"{shown(self.path)} is not valid: it has {len(self.problems)} problems"

    def __repr__(self) -> str:
        return f"<ValidationReport: {self.verdict}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, what was checked, and each problem."""
        checks = pd.DataFrame([asdict(check) for check in self.checks]).to_html(index=False, escape=True)
        lines = "".join(f"<li>{escape(shown(str(each)))}</li>" for each in (*self.problems, *self.notes))
        return f"<p>{escape(self.verdict)}</p>{checks}<ul>{lines}</ul>"

    def record(self) -> dict[str, Any]:
        """The report as plain values for JSON, which cannot hold an infinite loss or NaN."""
        return {
            "name": self.name,
            "path": self.path,
            "valid": self.valid,
            "checks": [asdict(check) for check in self.checks],
            "problems": [str(problem) for problem in self.problems],
            "notes": list(self.notes),
            "recomputed": [
                {
                    key: None if isinstance(value, float) and not math.isfinite(value) else value
                    for key, value in (asdict(each) | {"agrees": each.agrees}).items()
                }
                for each in self.recomputed
            ],
        }

    def save(self, file: str | Path) -> None:
        """Write the report as JSON. Raises `InputError` if that is impossible."""
        try:
            write_json(Path(file), self.record())
        except OSError as error:
            raise InputError(f"cannot write {file} ({error.strerror or error}); choose another --home") from None


def validate_zoo(
    zoo: StoragePath | Zoo,
    recompute: int = 0,
    seed: int = 0,
    data_root: Path | None = None,
    progress: Progress = QUIET,
) -> ValidationReport:
    """Check a zoo on this machine or on a remote store: card, files, checksums, tables, values, weights, layouts.

    recompute: how many checkpoints, drawn with the seed, to evaluate again on test and validation images and to compare
    with the recorded metrics, if the zoo is valid otherwise. A zoo that is being built, or whose build ended early, is
    valid: missing models are a note.

    >>> report = validate_zoo(Path("zoos/none"))
    >>> report.valid, str(report.problems[0])
    (False, 'zoo.json: it is missing')
    """
    path = zoo.path if isinstance(zoo, Zoo) else zoo
    report = _checked_files(path, progress)
    if not recompute:
        return report
    if not report.valid:
        note = "no checkpoint was evaluated again, because the zoo is not valid"
        return replace(report, notes=(*report.notes, note))
    return _with_metrics(report, evaluate_again(Zoo(path), recompute, seed, data_root, progress))


def _checked_files(zoo: StoragePath, progress: Progress) -> ValidationReport:
    """All but metrics."""
    problems: list[Problem] = []
    card = _card(zoo, problems)
    files: list[str] = []
    parts: list[str] = []
    with told(problems, "files", "the zoo"):
        files = _files(zoo)  # before the parts, so that no file of a part written meanwhile seems stray
        parts = part_names(zoo)
    findings = _checked(zoo, parts, progress)
    strays, notes = _strays(files, parts, built=card is not None and bool(card.spec))
    problems += strays
    problems += (problem for part in findings for problem in part.problems)
    problems += _layouts(findings)
    families, outside = check_families(findings)
    problems += families
    problems += check_landscape(zoo, findings)
    return ValidationReport(
        name=card.name if card else file_name(zoo.name),
        path=str(zoo),
        checks=tuple(_counted(files, findings, len(landscape_files(zoo)), problems)),
        problems=tuple(problems),
        notes=(*notes, *outside, *_boundless(findings), *_models(card, findings)),
    )


def _with_metrics(report: ValidationReport, again: Recomputation) -> ValidationReport:
    """The report, with the results of evaluating checkpoints again."""
    problems = [
        Problem("metrics", population, f"it cannot be evaluated again: {why}") for population, why in again.failures
    ]
    problems += [Problem("metrics", each.population, _differs(each)) for each in again.results if not each.agrees]
    checkpoints = len({(each.model_id, each.epoch) for each in again.results})
    notes = list(report.notes)
    if unrecorded := sum(each.recorded is None for each in again.results):
        notes.append(f"{unrecorded} of {len(again.results)} accuracies are not recorded, and cannot be compared")
    return replace(
        report,
        checks=(*report.checks, Check("metrics", checkpoints, "checkpoints evaluated", len(problems))),
        problems=(*report.problems, *problems),
        notes=tuple(notes),
        recomputed=again.results,
    )


def _differs(each: Recomputed) -> str:
    which = f"model {each.model_id} after epoch {each.epoch} is recorded with a {each.split}"
    if not each.accuracy_agrees:
        return f"{which} accuracy of {percent(each.recorded)}, and has {percent(each.recomputed)}"
    return f"{which} loss of {each.recorded_loss:.4f}, and has {each.recomputed_loss:.4f}"


def _card(zoo: StoragePath, problems: list[Problem]) -> Card | None:
    with told(problems, "card", "zoo.json"):
        card, wrong = card_of(read(zoo / "zoo.json"))
        problems += (Problem("card", "zoo.json", shown(what)) for what in wrong)
        return card
    return None


def _files(zoo: StoragePath) -> list[str]:
    """Paths of the zoo's files, relative to it; for anything else in it, only the name."""
    found = [file.name for file in files_in(zoo, "*") if file.name not in FOLDERS]
    return found + [f"{folder}/{file.name}" for folder in FOLDERS for file in files_in(zoo / folder, "*")]


def _checked(zoo: StoragePath, parts: Sequence[str], progress: Progress) -> list[PartFindings]:
    step, done = progress.stage("checking parts"), itertools.count(1)

    def check(part: str) -> PartFindings:
        findings = check_part(zoo, part)
        step(next(done), len(parts))
        return findings

    return asked_at_once(check, parts)


def _strays(files: Sequence[str], parts: Sequence[str], built: bool) -> tuple[list[Problem], list[str]]:
    """Files that belong to no part: problems, or notes if no reader looks at them or a build leaves them."""
    wanted = {f"{folder}/{part}.{SUFFIXES[folder]}" for folder in FOLDERS for part in parts}
    problems, notes = [], []
    for file in sorted(set(files) - wanted - OF_A_ZOO):
        path = PurePosixPath(file)
        if any(path.match(pattern) for pattern in TEMPORARY):
            notes.append(f"{shown(file)} is a temporary file of a build that runs, or was killed")
        elif path.parent.name not in FOLDERS:
            notes.append(f"{shown(file)} is not a file of a zoo, and no reader looks at it")
        elif path.suffix == f".{SUFFIXES[path.parent.name]}" and built:
            notes.append(f"{shown(file)} belongs to no part: the build that wrote it runs, or was killed")
        else:
            what = f"it belongs to no part, because there is no models/{shown(path.stem)}.parquet; remove it"
            problems.append(Problem("files", file, what))
    return problems, notes


def _layouts(findings: Sequence[PartFindings]) -> Iterator[Problem]:
    """Whether the weights of a population, which are read together, have one layout."""
    first: dict[tuple[object, ...], PartFindings] = {}
    for part in findings:
        if part.layout is None or part.models is None or part.checkpoints is None:
            continue
        saved = part.models[part.models["model_id"].isin(part.checkpoints["model_id"])]
        for key in saved[POPULATION].drop_duplicates().itertuples(index=False, name=None):
            other = first.setdefault(key, part)
            if other.layout != part.layout:
                what = (
                    f"its layout differs from that in weights/{shown(other.part)}.safetensors, of the same population"
                )
                yield Problem("layouts", f"weights/{part.part}.safetensors", what)


def _counted(
    files: Sequence[str], findings: Sequence[PartFindings], cells: int, problems: Sequence[Problem]
) -> Iterator[Check]:
    tables = [table for part in findings for table in (part.models, part.checkpoints) if table is not None]
    weights = [part for part in findings if part.layout is not None]
    rows = sum(len(part.checkpoints) for part in weights if part.checkpoints is not None)
    counts = {
        "card": (1, "card"),
        "files": (len(files), "files"),
        "checksums": (len(findings), "parts"),
        "tables": (len(tables), "tables"),
        "values": (sum(map(len, tables)), "rows"),
        "weights": (rows, "checkpoints"),
        "layouts": (len(weights), "weights files"),
        **({"landscape": (cells, "cells")} if cells else {}),
    }
    found = Counter(problem.check for problem in problems)
    for name, (count, of) in counts.items():
        yield Check(name, count, of, found[name])


def _boundless(findings: Sequence[PartFindings]) -> Iterator[str]:
    for part in findings:
        if part.checkpoints is None:
            continue
        which = part.checkpoints[part.checkpoints["row"].isin(part.boundless)]
        for model, epoch in zip(which["model_id"], which["epoch"], strict=True):
            yield (
                f"model {shown(model)} ran away: its weights after epoch {epoch} are finite, but the sum of their "
                "squares is beyond float32; methods leave it out"
            )


def _models(card: Card | None, findings: Sequence[PartFindings]) -> Iterator[str]:
    """Notes on missing models, and on those in two parts; nothing if a table is damaged."""
    tables = [part.models for part in findings if part.models is not None]
    if len(tables) < len(findings):
        return
    ids = [model for table in tables for model in table["model_id"]]
    twice = len(ids) - len(set(ids))
    if twice:
        yield f"{twice} models are in two parts, as after a retry with other shards; each counts once"
    try:
        wanted = set().union(*wanted_models(card.spec).values()) if card else set()
    except InputError as error:
        yield f"the models that are missing cannot be counted: {shown(error)}"
        return
    if missing := len(wanted.difference(ids)):
        yield f"{missing} of the {len(wanted)} models of the spec are missing yet; its build command trains them"
    if not ids:
        yield "it holds no models yet"
